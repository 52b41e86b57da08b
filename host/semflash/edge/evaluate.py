"""Accuracy (mAP of a detector) of a bundle against bit error rate: int8 encoder, channel, LiteRT decoder.

Bits are flipped on packed payloads (injected, seeded); the decoder is told the injected BER unless another
estimate is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash import atomic
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import AccuracyPoint, Contract, Measurement, Metric
from semflash.bundle.writer import update_record
from semflash.channels.bits import channel_rng, check_rates, flip_bits
from semflash.data.lazy import some
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.records import check_writable
from semflash.edge.split import Split
from semflash.errors import DatasetError, UsageError
from semflash.outputs.boxes import CLASS
from semflash.outputs.detections import decode
from semflash.outputs.kinds import Detector

#: The bit error rates the project reports.
REPORTED_BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)
METRIC_TITLES = {"accuracy": "accuracy", "map50": "mAP at IoU 0.5"}
_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Evaluation:
    """Outcome of :func:`evaluate`.

    Attributes:
        bundle: name. hash_hex: bundle hash. payload_bytes: per image.
        measurement: data set, number of images, seed, metric and its value per BER.
        task_accuracy: of the uncompressed task network, from the bundle's record; None: not recorded.
        predictions: BER -> predicted classes int64 (N,), or a detector's objects per image, float32 (n, 6).
        indices: which images of the split they are of, in the same order.
    """

    bundle: str
    hash_hex: str
    payload_bytes: int
    measurement: Measurement
    task_accuracy: float | None
    predictions: dict[float, Any]
    indices: NDArray[np.intp]

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "bundle": self.bundle,
            "hash": self.hash_hex,
            "payload_bytes": self.payload_bytes,
            "task_accuracy": self.task_accuracy,
            **msgspec.to_builtins(self.measurement),
        }


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, after Wilson (1927).

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    """
    share, z2 = right / total, _Z_95**2
    centre = share + z2 / (2 * total)
    spread = _Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return (0.0 if right == 0 else max(0.0, low)), (1.0 if right == total else min(1.0, high))


def evaluate(
    bundle: Bundle,
    dataset: Any,
    bers: Sequence[float] = REPORTED_BERS,
    *,
    seed: int = 0,
    limit: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    split: str = "test",
    assume_ber: float | None = None,
) -> Evaluation:
    """Measure accuracy per BER, or mAP at IoU 0.5 where the bundle's task is detection.

    Args:
        bundle: what to measure.
        dataset: with the splits .train, .val, .test and a name.
        bers: bit error rates to inject, each 0..0.5.
        seed: of the injected errors.
        limit: only so many images of the split, as many of each class; None: all.
        sample_seed: of that sample; the predictions come in its order.
        split: which split.
        assume_ber: what the decoder is told instead of the injected BER (a wrong estimate).

    Raises:
        DatasetError: no images, wrong size, labels that the bundle has no class for.
        UsageError: a BER out of range. BundleError, ModelError: the bundle does not run.
    """
    part = getattr(dataset, split)
    indices = balanced(part.labels, limit, sample_seed)
    images, labels = _images(part, bundle.contract, indices)
    if not bers:
        raise UsageError("no bit error rate to evaluate at", remedy="--ber 0,0.01")
    for ber in bers:
        check_rates(ber)
    if seed < 0:
        raise UsageError("the seed must not be negative", value=seed, remedy="--seed 0")
    clean = GoldenEncoder(bundle).payloads(images)
    decoder = EdgeDecoder(bundle)
    points, predictions = [], {}
    for ber in bers:
        received = flip_bits(clean, ber, channel_rng(seed, ber))
        outputs = decoder.logits(received, ber if assume_ber is None else assume_ber)
        predictions[ber], value = measure(bundle.contract, outputs, labels, seed=seed)
        points.append(AccuracyPoint(ber, *value))
    name = str(getattr(dataset, "name", "unnamed"))
    metric: Metric = "map50" if isinstance(bundle.contract.task, Detector) else "accuracy"
    sampled = sample_seed if len(indices) < len(part.labels) else None
    measurement = Measurement(name, split, len(labels), seed, points, metric, sampled)
    return Evaluation(
        bundle.name,
        bundle.hash_hex,
        bundle.payload_bytes,
        measurement,
        bundle.record.task_accuracy,
        predictions,
        indices,
    )


def measure(
    contract: Contract, outputs: NDArray[np.float32], labels: NDArray[Any], *, seed: int = 0
) -> tuple[Any, tuple[float, float, float]]:
    """What the outputs of a bundle's tail say, and how good that is.

    Args:
        outputs: float32 (N, classes), or a detector's maps. labels: classes (N,), or boxes (N, M, 6).
        seed: of the bootstrap samples of a detector's interval.

    Returns:
        predictions (see Evaluation), and (value, low, high) of accuracy or mAP with its 95 % interval.
    """
    if isinstance(contract.task, Detector):
        from semflash.outputs.average_precision import precision_interval

        classes = len(contract.class_names)
        found = decode(outputs, contract.task, classes)
        return found, precision_interval(labels, found, classes, seed=seed)
    predicted = outputs.argmax(1)
    right = int((predicted == labels).sum())
    return predicted, (right / len(labels), *wilson_interval(right, len(labels)))


def _images(
    split: Split, contract: Contract, indices: NDArray[np.intp]
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    count = len(split.images)
    if count == 0 or count != len(split.labels):
        raise DatasetError("the split has no images, or not one label each", value=(count, len(split.labels)))
    check_labels(split.labels, contract)
    images, labels = some(split.images, indices), split.labels[indices]
    return images, labels


def check_labels(labels: NDArray[Any], contract: Contract) -> None:
    """Refuse classes that the bundle has not, and boxes or their absence where its task has no use for them.

    Raises:
        DatasetError: as above.
    """
    classes, detects = len(contract.class_names), isinstance(contract.task, Detector)
    if detects != (labels.ndim == 3):
        raise DatasetError(
            "the bundle detects objects, and the data set has no boxes"
            if detects
            else "the bundle classifies images, and the data set has boxes",
            value=f"labels {labels.shape}",
            remedy="use its data set",
        )
    if detects:
        labels = labels[..., CLASS][labels[..., CLASS] >= 0].astype(np.int64)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError("labels must be integers", value=labels.dtype, remedy="use its data set")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise DatasetError(
            f"the bundle knows {classes} classes",
            value=f"label {int(labels[wrong][0])}",
            remedy="use its data set",
        )


def record_measurement(bundle: Bundle, evaluation: Evaluation) -> Bundle:
    """Write the measurement into the bundle's record; the bundle hash stays.

    An earlier measurement on the same data set, split and images is replaced.

    Raises:
        BundleError: the bundle on disk changed meanwhile, or has no room for another measurement.
    """
    new = evaluation.measurement

    def same(old: Measurement) -> bool:
        return all(
            getattr(old, key) == getattr(new, key) for key in ("dataset", "split", "images", "sample_seed")
        )

    kept = [m for m in bundle.record.measurements if not same(m)]
    return update_record(bundle, msgspec.structs.replace(bundle.record, measurements=[*kept, new]))


def check_plot(path: Path) -> None:
    """Whether `plot` can write `path`; asked before the measurement, which takes minutes.

    Raises:
        ModuleNotFoundError: matplotlib is missing (extra ``plot``).
        UsageError: another suffix, or no such folder.
    """
    if path.suffix not in (".png", ".svg"):
        raise UsageError("plots are written as .png or .svg", value=path.name, remedy="--plot accuracy.svg")
    check_writable(path, "--plot")
    import matplotlib  # noqa: F401


def plot(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw accuracy against BER, one line per evaluation, as PNG or SVG (by the file's suffix).

    Raises: as `check_plot`.
    """
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for evaluation in evaluations:
        points = sorted(evaluation.measurement.points, key=lambda p: p.ber)
        bers, shares = [100 * p.ber for p in points], [100 * p.accuracy for p in points]
        bounds = [[100 * (p.accuracy - p.low) for p in points], [100 * (p.high - p.accuracy) for p in points]]
        label = f"{evaluation.bundle}, {evaluation.payload_bytes} B per image"
        axes.errorbar(bers, shares, yerr=bounds, marker="o", capsize=3, label=label)
        if evaluation.task_accuracy is not None:
            axes.axhline(100 * evaluation.task_accuracy, linestyle="--", color="grey", label="task network")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(left=0)
    names = {METRIC_TITLES[evaluation.measurement.metric] for evaluation in evaluations}
    axes.set(xlabel="injected bit error rate, %", ylabel=f"{' / '.join(sorted(names))}, %")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic.replacing(path, durable=False) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=150)
    plt.close(figure)
