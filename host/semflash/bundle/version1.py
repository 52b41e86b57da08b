"""Bundles of schema version 1: one int8 graph, one device tail, one region of codes, decoder and task tail.

They are read as a contract of today in memory and keep their own contract on disk, and with it their hash.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from semflash.bundle.older_record import OlderRecord
from semflash.bundle.schema import (
    Contract,
    Digest,
    EdgeGraph,
    FileRef,
    GraphInput,
    Model,
    QualityInput,
    ReceivedInput,
)
from semflash.errors import BundleError
from semflash.fields import (
    CLASSES_MAX,
    PAYLOAD_MAX_BYTES,
    TABLE_LEVELS_MAX,
    Ber,
    Channels,
    Int8,
    Name,
    Scale,
    Side,
    Text,
)
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.checks import check_tail
from semflash.program.program import Program
from semflash.program.quality import Ber as BerQuality
from semflash.program.stages import TableTail, TailTable
from semflash.program.tensors import Codes, Tensor, Values

SCHEMA_VERSION1 = 1
DECODER, TASK_TAIL = "decoder", "tail"


class ImageInput(Struct, frozen=True, forbid_unknown_fields=True):
    """One image as the device sees it: int8 (height, width, channels), real value = scale (q - zero_point).

    semflash fixes scale = 1/255 and zero_point = -128, so that q = pixel - 128.
    """

    height: Side
    width: Side
    channels: Annotated[int, Meta(ge=1, le=16)]
    scale: Scale
    zero_point: Int8


class DeviceGraph(Struct, frozen=True, forbid_unknown_fields=True):
    """An int8 .tflite graph that runs on the device; output int8 (height, width, channels)."""

    name: Name
    model: FileRef
    height: Side
    width: Side
    channels: Channels
    scale: Scale
    zero_point: Int8


class FixedPayload(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="fixed"):
    """Every image gives the same number of symbols, most significant bit first.

    Symbols come in raster order (height, width, channels); the last byte is filled with zero bits.
    """

    symbols: Annotated[int, Meta(ge=1, le=PAYLOAD_MAX_BYTES * 8)]
    bits_per_symbol: Annotated[int, Meta(ge=1, le=8)]
    payload_bytes: Annotated[int, Meta(ge=1, le=PAYLOAD_MAX_BYTES)]


class BitChannel(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="bsc"):
    """Binary symmetric channel the codec was trained for: BER 0 and [ber_min, ber_max]."""

    ber_min: Ber
    ber_max: Ber


class BerInput(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ber"):
    """The decoder's quality input: ``name`` float32 (B, 1), the BER, 0..0.5."""

    name: Name


class Contract1(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What version 1 said device and edge must agree on; its canonical JSON is what the bundle hash covers.

    ``task`` is left out of it for classification, so that bundles older than this field keep their hash.
    """

    name: Name
    family: Name
    family_version: Annotated[int, Meta(ge=1, le=1000)]
    input: ImageInput
    device_graphs: Annotated[list[DeviceGraph], Meta(min_length=1, max_length=8)]
    device_tail: TailTable
    payload: FixedPayload
    channel: BitChannel
    quality: BerInput
    centres: Annotated[list[float], Meta(min_length=2, max_length=TABLE_LEVELS_MAX)]
    decoder: FileRef
    task_tail: FileRef
    class_names: Annotated[list[Text], Meta(min_length=2, max_length=CLASSES_MAX)]
    task: Task = CLASSIFICATION


class Codec1(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of a ``codec.json`` of version 1."""

    format: str
    schema_version: int
    contract: Contract1
    record: OlderRecord
    digest: Digest


def program_of(contract: Contract1) -> Program:
    """The program that a checked contract of version 1 describes."""
    image, graph, tail = contract.input, contract.device_graphs[0], contract.device_tail
    pixels = Values(image.scale, image.zero_point)
    return Program.of_graph(
        graph.name,
        Tensor("image", (image.height, image.width, image.channels), pixels),
        Tensor("latent", (graph.height, graph.width, graph.channels), Values(graph.scale, graph.zero_point)),
        tail,
        Codes(tail.levels, tuple(contract.centres)),
        BerQuality(contract.channel.ber_min, contract.channel.ber_max),
    )


def contract_of(old: Contract1) -> Contract:
    """A checked contract of version 1 as one of today."""
    graph = old.device_graphs[0]
    decoder = (ReceivedInput("latent", "codes"), QualityInput(old.quality.name))
    return Contract(
        name=old.name,
        family=old.family,
        family_version=old.family_version,
        program=program_of(old),
        models=(Model(graph.name, graph.model),),
        edge=(
            EdgeGraph(DECODER, old.decoder, decoder),
            EdgeGraph(TASK_TAIL, old.task_tail, (GraphInput("features", DECODER),)),
        ),
        class_names=tuple(old.class_names),
        task=old.task,
    )


def decode_codec1(data: bytes) -> Codec1:
    """Parse ``codec.json`` of version 1; raises msgspec's errors (the reader turns them into BundleError)."""
    return msgspec.json.decode(data, type=Codec1)


def _refuse(what: str, value: object, remedy: str = "export the bundle again") -> BundleError:
    return BundleError(what, value=value, remedy=remedy)


def check_contract1(contract: Contract1) -> None:
    """The consistency rules of version 1; those of :func:`check_contract` come on top.

    Raises:
        BundleError: One is broken.
    """
    graphs = contract.device_graphs
    if len(graphs) != 1:
        raise _refuse(
            "this version runs exactly one device graph", len(graphs), "update semflash, or export one graph"
        )
    check_tail(contract.device_tail)
    _check_tail_fits_graph(contract.device_tail, graphs[0])
    _check_payload(contract, graphs[0])
    _check_centres(contract)
    if contract.channel.ber_min > contract.channel.ber_max:
        raise _refuse(
            "channel.ber_min is above ber_max", (contract.channel.ber_min, contract.channel.ber_max)
        )


def _check_tail_fits_graph(tail: TailTable, graph: DeviceGraph) -> None:
    if tail.channels != graph.channels:
        raise _refuse("device tail and device graph differ in channels", (tail.channels, graph.channels))
    if tail.zero_point != graph.zero_point:
        raise _refuse(
            "device tail and device graph differ in zero point", (tail.zero_point, graph.zero_point)
        )
    if graph.height * graph.width > 65_535:
        raise _refuse("more than 65,535 latent positions", graph.height * graph.width)


def _check_payload(contract: Contract1, graph: DeviceGraph) -> None:
    payload = contract.payload
    symbols = graph.height * graph.width * graph.channels
    if payload.symbols != symbols:
        raise _refuse(
            "payload.symbols is not height x width x channels of the latent", (payload.symbols, symbols)
        )
    size = -(-symbols * payload.bits_per_symbol // 8)
    if payload.payload_bytes != size:
        raise _refuse("payload_bytes does not follow from symbols and bits", (payload.payload_bytes, size))
    levels = contract.device_tail.levels
    if levels > 1 << payload.bits_per_symbol or payload.bits_per_symbol != max(1, (levels - 1).bit_length()):
        raise _refuse("bits_per_symbol does not fit the number of levels", (payload.bits_per_symbol, levels))


def _check_centres(contract: Contract1) -> None:
    centres = contract.centres
    if len(centres) != contract.device_tail.levels:
        raise _refuse(
            "number of centres and levels of the tail differ", (len(centres), contract.device_tail.levels)
        )
    if not all(math.isfinite(c) for c in centres):
        raise _refuse("a centre is not finite", centres)
    if isinstance(contract.device_tail, TableTail):
        if len(set(centres)) != len(centres):
            raise _refuse("centres repeat", centres)
    elif any(a >= b for a, b in pairwise(centres)):
        raise _refuse("centres are not ascending", centres)
