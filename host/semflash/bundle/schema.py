"""What ``codec.json`` holds: the typed contract between training, device and edge (schema version 3).

Types only; how the numbers must fit together is checked in :mod:`semflash.bundle.checks`. Unknown fields are
refused. Places where later codec families differ are tagged unions (``kind``): a new kind of stage, of edge
input or of output is a new member, and an older semflash refuses it by name instead of misreading it. What
version 1 held is in :mod:`semflash.bundle.version1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from semflash.fields import (
    CLASSES_MAX,
    Count,
    FileName,
    Name,
    Sha256,
    Share,
    Text,
)
from semflash.outputs.kinds import Task
from semflash.outputs.metrics import Finite, Metric, Score
from semflash.program.program import Program

if TYPE_CHECKING:
    from semflash.outputs.output import Output

FORMAT = "semflash-codec"
SCHEMA_VERSION = 3
SUFFIX = ".semcodec"
CODEC_FILE = "codec.json"

#: Sizes no bundle may exceed; everything read from disk is checked against them before it is loaded.
CODEC_JSON_MAX_BYTES = 4 << 20
ENCODER_MAX_BYTES = 64 << 20
EDGE_MODEL_MAX_BYTES = 1 << 30
HISTORY_MAX_BYTES = 64 << 20


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


class ControlInput(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="control"):
    """An input of an edge graph: the value of a control that the device used, float32 (B, 1).

    Attributes:
        name: Of the graph's input.
        control: Of the program; its value comes as the bare number.
    """

    name: Name
    control: Name


EdgeInput = ReceivedInput | QualityInput | GraphInput | ControlInput


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
    inputs: Annotated[tuple[EdgeInput, ...], Meta(min_length=1, max_length=16)]


class Contract(Struct, frozen=True, forbid_unknown_fields=True):
    """What device and edge must agree on. Its canonical JSON is what the bundle hash covers.

    Attributes:
        name: Of the bundle.
        family: Codec family.
        family_version: Of the family's networks.
        program: Everything the device does.
        models: The files of the program's graphs.
        edge: The graphs of the edge side in the order of running; the last one gives what ``task`` reads.
        class_names: In label order; two or more, unless the task tells no classes apart.
        task: How the output of the last edge graph is read.
        picture: The edge graph before the last that gives a picture beside the task's output, float32
            (B, H, W, C) in [0, 1] of the image's size. Unset: there is none.
        level_map: The tensor of codes in the payload that is the level of each patch, (rows, columns) or
            (rows, columns, 1); it is shown over the image. Unset: there is none.
    """

    name: Name
    family: Name
    family_version: Annotated[int, Meta(ge=1, le=1000)]
    program: Program
    models: Annotated[tuple[Model, ...], Meta(min_length=1, max_length=32)]
    edge: Annotated[tuple[EdgeGraph, ...], Meta(min_length=1, max_length=8)]
    class_names: Annotated[tuple[Text, ...], Meta(max_length=CLASSES_MAX)]
    task: Task
    picture: Name | UnsetType = UNSET
    level_map: Name | UnsetType = UNSET

    @property
    def output(self) -> Output:
        """How the output of the last edge graph is read, judged, recorded and shown."""
        from semflash.outputs.registry import output_of  # NumPy is not needed to read a bundle

        return output_of(self.task, self.class_names)


class ExportProof(Struct, frozen=True, forbid_unknown_fields=True):
    """What the export checked before it wrote: two int8 references give the same codes.

    ``codes_differing_from_float`` and the two values compare the int8 encoder with the float one over a
    perfect channel.

    Attributes:
        images: How many the references were compared on.
        references: Their names.
        codes_differing: Between the references.
        codes_differing_from_float: Share of codes.
        validation_images: How many the values are of.
        float_value: The bundle's first metric (:attr:`Contract.output`) with the float encoder.
        int8_value: The same with the int8 encoder.
    """

    images: Count
    references: Annotated[list[Text], Meta(max_length=8)]
    codes_differing: Count
    codes_differing_from_float: Share
    validation_images: Count = 0
    float_value: Finite | None = None
    int8_value: Finite | None = None


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured at one level of the channel's quality.

    Attributes:
        level: In the measurement's kind of quality: a bit error rate, or an SNR in dB.
        scores: One for each metric of the measurement, in their order.
    """

    level: Finite
    scores: Annotated[tuple[Score, ...], Meta(min_length=1, max_length=8)]

    @property
    def score(self) -> Score:
        """Of the first metric."""
        return self.scores[0]


class Measurement(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ``semflash evaluate`` run.

    Attributes:
        dataset: Its name.
        split: Which part of it.
        images: How many.
        seed: Of the injected damage.
        quality: The kind of the points' levels.
        metrics: What the points' scores are of; the first one is what a report compares.
        points: One for each level.
        sample_seed: The images are a sample of the split, as many of each class; None: all, or (older
            bundles) the first ones.
        fading: Of the channel, as ``--fading`` names it; the levels are then mean ratios. Empty: none.
        bytes_mean: Of a payload; None: all have as many as a payload of the bundle can.
        bytes_most: Of the longest payload.
    """

    dataset: Text
    split: Text
    images: Count
    seed: Count
    quality: Literal["ber", "snr"]
    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1, max_length=8)]
    points: Annotated[list[Point], Meta(max_length=256)]
    sample_seed: Count | None = None
    fading: Annotated[str, Meta(max_length=24, pattern=r"^(rayleigh(:[0-9]{1,9})?)?\Z")] = ""
    bytes_mean: Annotated[float, Meta(ge=0.0, le=1e9)] | None = None
    bytes_most: Count | None = None

    @property
    def metric(self) -> Metric:
        """The first one."""
        return self.metrics[0]

    def at(self, level: float) -> Point | None:
        """The point at a level; None: not measured."""
        return next((point for point in self.points if point.level == level), None)


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
        task_value: the bundle's first metric of the uncompressed task network on the test split.
        measurements: of the whole path, at levels of the channel's quality.
    """

    semflash_version: Text
    recipe: dict[str, Any]
    seed: Annotated[int, Meta(ge=0, le=(1 << 53))]
    history: FileRef | None = None
    proof: ExportProof | None = None
    operators: Annotated[list[Text], Meta(max_length=4096)] = []
    macs: Count = 0
    arena_bytes: Count | None = None
    task_value: Finite | None = None
    measurements: Annotated[list[Measurement], Meta(max_length=64)] = []


class Digest(Struct, frozen=True, forbid_unknown_fields=True):
    """SHA-256 (hex) of the canonical JSON of the two parts."""

    contract: Sha256
    record: Sha256


class Codec(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of ``codec.json``."""

    format: str
    schema_version: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
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
