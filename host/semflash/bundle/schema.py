"""What ``codec.json`` holds: the typed contract between training, device and edge (schema version 1).

Types only; how the numbers must fit together is checked in :mod:`semflash.bundle.checks`. Unknown fields are
refused. Places where later codec families differ are tagged unions (``kind``): a new payload layout, channel
or device tail is a new member, and an older semflash refuses it by name instead of misreading it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from semflash.fields import (
    CLASSES_MAX,
    PAYLOAD_MAX_BYTES,
    TABLE_LEVELS_MAX,
    Ber,
    Channels,
    Count,
    FileName,
    Int8,
    Name,
    Scale,
    Sha256,
    Share,
    Side,
    Text,
)
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.program.stages import TailTable

FORMAT = "semflash-codec"
SCHEMA_VERSION = 1
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


class Contract(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What device and edge must agree on. Its canonical JSON is what the bundle hash covers.

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
