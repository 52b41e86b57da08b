"""The record as schema versions 1 and 2 wrote it: one metric, a share, at bit error rates.

Its digest covers the form in which it was written, so both directions are here: an older record is read as
one of today, and a bundle of version 1, whose contract stays what it is, gets a new record in the old form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from semflash.bundle.schema import Contract, Digest, ExportProof, FileRef, Measurement, Point, Record
from semflash.errors import BundleError
from semflash.fields import Ber, Count, Share, Text
from semflash.outputs.metrics import ACCURACY, MAP50, Score
from semflash.program.quality import Ber as BerQuality

SCHEMA_VERSION2 = 2
_METRICS = {"accuracy": ACCURACY, "map50": MAP50}


class OlderProof(Struct, frozen=True, forbid_unknown_fields=True):
    """What the export checked; accuracies are the bundle's figure of merit at BER 0."""

    images: Count
    references: Annotated[list[Text], Meta(max_length=8)]
    codes_differing: Count
    codes_differing_from_float: Share
    validation_images: Count = 0
    float_accuracy: Share | None = None
    int8_accuracy: Share | None = None


class AccuracyPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """The metric at one injected BER, with its 95 % interval."""

    ber: Ber
    accuracy: Share
    low: Share
    high: Share


class OlderMeasurement(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ``semflash evaluate`` run."""

    dataset: Text
    split: Text
    images: Count
    seed: Count
    points: Annotated[list[AccuracyPoint], Meta(max_length=256)]
    metric: Literal["accuracy", "map50"] = "accuracy"
    sample_seed: Count | None = None


class OlderRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """How the bundle came about."""

    semflash_version: Text
    recipe: dict[str, Any]
    seed: Annotated[int, Meta(ge=0, le=(1 << 53))]
    history: FileRef | None = None
    proof: OlderProof | None = None
    operators: Annotated[list[Text], Meta(max_length=4096)] = []
    macs: Count = 0
    arena_bytes: Count | None = None
    task_accuracy: Share | None = None
    measurements: Annotated[list[OlderMeasurement], Meta(max_length=64)] = []


class Codec2(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of a ``codec.json`` of version 2: a contract of today with an older record."""

    format: str
    schema_version: int
    contract: Contract
    record: OlderRecord
    digest: Digest


def decode_codec2(data: bytes) -> Codec2:
    """Parse ``codec.json`` of version 2; raises msgspec's errors (the reader turns them into BundleError)."""
    return msgspec.json.decode(data, type=Codec2)


def record_of(old: OlderRecord) -> Record:
    """An older record as one of today."""
    proof = old.proof
    return Record(
        old.semflash_version,
        old.recipe,
        old.seed,
        old.history,
        None
        if proof is None
        else ExportProof(
            proof.images,
            proof.references,
            proof.codes_differing,
            proof.codes_differing_from_float,
            proof.validation_images,
            proof.float_accuracy,
            proof.int8_accuracy,
        ),
        old.operators,
        old.macs,
        old.arena_bytes,
        old.task_accuracy,
        [_measurement_of(measured) for measured in old.measurements],
    )


def _measurement_of(old: OlderMeasurement) -> Measurement:
    points = [Point(p.ber, (Score(p.accuracy, p.low, p.high),)) for p in old.points]
    metrics = (_METRICS[old.metric],)
    return Measurement(
        old.dataset, old.split, old.images, old.seed, BerQuality.name, metrics, points, old.sample_seed
    )


def older_record(record: Record) -> OlderRecord:
    """A record of today in the old form.

    Raises:
        BundleError: It holds a measurement that the old form has no place for.
    """
    proof = record.proof
    return OlderRecord(
        record.semflash_version,
        record.recipe,
        record.seed,
        record.history,
        None
        if proof is None
        else OlderProof(
            proof.images,
            proof.references,
            proof.codes_differing,
            proof.codes_differing_from_float,
            proof.validation_images,
            proof.float_value,
            proof.int8_value,
        ),
        record.operators,
        record.macs,
        record.arena_bytes,
        record.task_value,
        [_older_measurement(measured) for measured in record.measurements],
    )


def _older_measurement(new: Measurement) -> OlderMeasurement:
    names = {metric: name for name, metric in _METRICS.items()}
    if new.quality != BerQuality.name or len(new.metrics) != 1 or new.metric not in names:
        raise BundleError(
            "a bundle of version 1 keeps one share, accuracy or mAP, at bit error rates",
            value=f"{', '.join(metric.name for metric in new.metrics)} at {new.quality}",
            remedy="export the bundle again",
        )
    points = [AccuracyPoint(p.level, p.score.value, p.score.low, p.score.high) for p in new.points]
    name: Any = names[new.metric]
    return OlderMeasurement(new.dataset, new.split, new.images, new.seed, points, name, new.sample_seed)
