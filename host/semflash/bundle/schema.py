"""What ``codec.json`` holds: the typed contract between training, device and edge (schema version 2).

Types only; how the numbers must fit together is checked in :mod:`semflash.bundle.checks`. Unknown fields are
refused. Places where later codec families differ are tagged unions (``kind``): a new kind of stage, of edge
input or of output is a new member, and an older semflash refuses it by name instead of misreading it. What
version 1 held is in :mod:`semflash.bundle.version1`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from semflash.fields import (
    CLASSES_MAX,
    Ber,
    Count,
    FileName,
    Name,
    Sha256,
    Share,
    Text,
)
from semflash.outputs.kinds import Task
from semflash.program.program import Program

FORMAT = "semflash-codec"
SCHEMA_VERSION = 2
SUFFIX = ".semcodec"
CODEC_FILE = "codec.json"

#: Sizes no bundle may exceed; everything read from disk is checked against them before it is loaded.
CODEC_JSON_MAX_BYTES = 4 << 20
ENCODER_MAX_BYTES = 64 << 20
EDGE_MODEL_MAX_BYTES = 1 << 30
HISTORY_MAX_BYTES = 64 << 20
Metric = Literal["accuracy", "map50"]


class FileRef(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the bundle: plain name, SHA-256 (hex) and size in bytes."""

    file: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Meta(ge=1, le=EDGE_MODEL_MAX_BYTES)]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """An int8 .tflite graph that the device runs.

    Attributes:
        name: As the program's stage calls it.
        file: Where it lies.
    """

    name: Name
    file: FileRef


class ReceivedInput(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="received"):
    """An input of an edge graph: real values of a tensor of codes as they arrived, float32 (B, *shape).

    Attributes:
        name: Of the graph's input.
        tensor: A tensor of codes with centres that the payload tells; its neutral value stands where
            nothing arrived.
    """

    name: Name
    tensor: Name


class QualityInput(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="quality"):
    """An input of an edge graph: what it is told of the channel's quality, float32 (B, 1)."""

    name: Name


class GraphInput(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="graph"):
    """An input of an edge graph: the output of an earlier one."""

    name: Name
    graph: Name


EdgeInput = ReceivedInput | QualityInput | GraphInput


class EdgeGraph(Struct, frozen=True, forbid_unknown_fields=True):
    """A float32 .tflite graph of the edge side with one output.

    Attributes:
        name: Unique among the edge graphs.
        file: Where it lies.
        inputs: Where its inputs come from. A graph with several inputs calls them by these names; the only
            input of a graph may have any name.
    """

    name: Name
    file: FileRef
    inputs: Annotated[tuple[EdgeInput, ...], Meta(min_length=1, max_length=8)]


class Contract(Struct, frozen=True, forbid_unknown_fields=True):
    """What device and edge must agree on. Its canonical JSON is what the bundle hash covers.

    Attributes:
        name: Of the bundle.
        family: Codec family.
        family_version: Of the family's networks.
        program: Everything the device does.
        models: The files of the program's graphs.
        edge: The graphs of the edge side in the order of running; the last one gives what ``task`` reads.
        class_names: In label order.
        task: How the output of the last edge graph is read.
    """

    name: Name
    family: Name
    family_version: Annotated[int, Meta(ge=1, le=1000)]
    program: Program
    models: Annotated[tuple[Model, ...], Meta(min_length=1, max_length=32)]
    edge: Annotated[tuple[EdgeGraph, ...], Meta(min_length=1, max_length=8)]
    class_names: Annotated[tuple[Text, ...], Meta(min_length=2, max_length=CLASSES_MAX)]
    task: Task


class ExportProof(Struct, frozen=True, forbid_unknown_fields=True):
    """What the export checked before it wrote: two int8 references give the same codes.

    ``codes_differing_from_float`` and the accuracies compare the int8 encoder with the float one at BER 0.
    """

    images: Count
    references: Annotated[list[Text], Meta(max_length=8)]
    codes_differing: Count
    codes_differing_from_float: Share
    validation_images: Count = 0
    float_accuracy: Share | None = None
    int8_accuracy: Share | None = None


class AccuracyPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """The metric at one injected BER, its 95 % interval (accuracy: Wilson; mAP: bootstrap over images)."""

    ber: Ber
    accuracy: Share
    low: Share
    high: Share


class Measurement(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ``semflash evaluate`` run; ``metric``: top-1 accuracy, or the mean average precision at IoU 0.5.

    sample_seed: the images are a sample of the split, as many of each class; None: all, or (older bundles)
    the first ones.
    """

    dataset: Text
    split: Text
    images: Count
    seed: Count
    points: Annotated[list[AccuracyPoint], Meta(max_length=256)]
    metric: Metric = "accuracy"
    sample_seed: Count | None = None


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """How the bundle came about; not part of the hash, guarded by its own digest.

    Attributes:
        semflash_version: version that exported.
        recipe: settings of the training run, plain JSON values.
        seed: of the training run.
        history: the training history, a file beside codec.json.
        operators: operators of the device graphs in order.
        macs: multiply-accumulates of the device graphs for one image.
        arena_bytes: tensor arena TFLite-Micro needs on a 64-bit host (None: not measured).
        task_accuracy: of the uncompressed task network on the test split (for detection: mAP at IoU 0.5).
        measurements: accuracy of the whole path per BER.
    """

    semflash_version: Text
    recipe: dict[str, Any]
    seed: Annotated[int, Meta(ge=0, le=(1 << 53))]
    history: FileRef | None = None
    proof: ExportProof | None = None
    operators: Annotated[list[Text], Meta(max_length=4096)] = []
    macs: Count = 0
    arena_bytes: Count | None = None
    task_accuracy: Share | None = None
    measurements: Annotated[list[Measurement], Meta(max_length=64)] = []


class Digest(Struct, frozen=True, forbid_unknown_fields=True):
    """SHA-256 (hex) of the canonical JSON of the two parts."""

    contract: Sha256
    record: Sha256


class Codec(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of ``codec.json``."""

    format: str
    schema_version: int
    contract: Contract
    record: Record
    digest: Digest


class Envelope(Struct, frozen=True):
    """The two fields every schema version has; read first, other fields ignored."""

    format: str
    schema_version: Annotated[int, Meta(ge=1, le=(1 << 31))]


def decode_codec(data: bytes) -> Codec:
    """Parse ``codec.json``; raises msgspec's errors (the reader turns them into BundleError)."""
    return msgspec.json.decode(data, type=Codec)
