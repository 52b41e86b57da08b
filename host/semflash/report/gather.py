"""What the report says of a bundle: measured by the edge's own code (LiteRT)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import ReceivedInput
from semflash.channels.bits import channel_rng, flip_bits
from semflash.data.lazy import some
from semflash.data.sample import SAMPLE_SEED, balanced
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import Evaluation, evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.judge import Judge, Reading, read, shown
from semflash.errors import UsageError
from semflash.outputs.boxes import CLASS, IGNORED, present
from semflash.outputs.kinds import Detector
from semflash.program.tensors import Codes
from semflash.report.importance import Importance, as_map, importance
from semflash.report.wording import WORDS, Words

#: Rates of the summary, of accuracy against bytes, and of the precision by class.
MAIN_BERS = (0.0, 0.01, 0.05)
#: The rate whose confusion matrix, scenes and reconstructed features are shown.
DAMAGED_BER = 0.05
EXAMPLES = 4
USE_IMAGES = 1_000


@dataclass(frozen=True)
class Example:
    """One test image on its way.

    Attributes:
        image: uint8 (H, W, C). name: short, for a row. truth, clean, damaged: the truth and both answers.
        features_clean, features_damaged: decoded, mean over channels, float32 (h, w).
        importance: of the features at BER 0, float32 (h', w').
        boxes: of a detector's scene: the true objects, float32 (m, 6).
        found: of a detector: objects shown at BER 0 and at :data:`DAMAGED_BER`, float32 (n, 6) each.
    """

    image: NDArray[np.uint8]
    name: str
    truth: str
    clean: str
    damaged: str
    features_clean: NDArray[np.float32]
    features_damaged: NDArray[np.float32]
    importance: NDArray[np.float32]
    boxes: NDArray[np.float32] | None = None
    found: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Precision:
    """Average precision of a detector by class.

    Attributes:
        objects: how many of each class there are.
        by_ber: BER -> average precision at IoU 0.5 of each class, 0..1; None: a class without an object.
    """

    objects: list[int]
    by_ber: dict[float, list[float | None]]


@dataclass(frozen=True)
class BundleView:
    """One bundle in the report.

    Attributes:
        bundle, evaluation: what was measured, and the outcome.
        use: share of each code on the first test images, float64 (K,).
        confusion: counts at :data:`DAMAGED_BER`, int64 (classes, classes), rows are the truth; None: a
            detector.
        precision: of a detector; None: a classifier.
        examples: some images; empty: not asked for. importance: how their maps were made.
        history: records of the training, one an epoch; empty: not in the bundle.
        cost: what `semflash bench` said of this very bundle; None: not measured.
    """

    bundle: Bundle
    evaluation: Evaluation
    use: NDArray[np.float64]
    confusion: NDArray[np.int64] | None
    precision: Precision | None
    examples: list[Example]
    importance: Importance | None
    history: list[dict[str, Any]]
    cost: dict[str, Any] | None

    @property
    def centres(self) -> tuple[float, ...]:
        """The value of each code that :attr:`use` counts."""
        holds = self.bundle.program.tensor(coded(self.bundle)).holds
        return holds.centres if isinstance(holds, Codes) else ()

    @property
    def words(self) -> Words:
        """Of its figure of merit."""
        return WORDS[self.evaluation.measurement.metric]

    def accuracy(self, ber: float) -> float | None:
        """Accuracy, or mAP@0.5 of a detector, at a rate, 0..1; None: not measured."""
        return next((p.accuracy for p in self.evaluation.measurement.points if p.ber == ber), None)


def view(
    bundle: Bundle, dataset: Any, bers: Sequence[float], costs: Sequence[dict[str, Any]], *,
    seed: int = 0, limit: int | None = None, sample_seed: int = SAMPLE_SEED, split: str = "test",
    pictures: bool = True,
) -> BundleView:  # fmt: skip
    """Measure one bundle.

    Args:
        bers: rates; :data:`DAMAGED_BER` is measured in any case.
        costs: records of `semflash bench`; the one of this bundle's hash is taken.
        seed, limit, sample_seed, split: as :func:`semflash.edge.evaluate.evaluate`.
        pictures: with examples and their importance, which import Keras where it is installed.

    Raises: as `evaluate`.
    """
    rates = sorted({*bers, DAMAGED_BER})
    evaluation = evaluate(
        bundle, dataset, rates, seed=seed, limit=limit, sample_seed=sample_seed, split=split
    )
    part = getattr(dataset, split)
    images, labels = some(part.images, evaluation.indices), part.labels[evaluation.indices]
    use = code_use(bundle, some(images, balanced(labels, USE_IMAGES)))
    detects = isinstance(bundle.contract.task, Detector)
    shown_ones, maps = examples(bundle, images, labels, seed) if pictures else ([], None)
    return BundleView(
        bundle, evaluation, use,
        None if detects else confusion(bundle, labels, evaluation.predictions[DAMAGED_BER]),
        precision(bundle, labels, evaluation) if detects else None,
        shown_ones, maps, history(bundle),
        next((one for one in costs if one.get("bundle_hash") == bundle.hash_hex), None),
    )  # fmt: skip


def coded(bundle: Bundle) -> str:
    """The tensor of codes whose values the first edge graph reads first."""
    given = (i for graph in bundle.contract.edge for i in graph.inputs)
    return next(i.tensor for i in given if isinstance(i, ReceivedInput))


def code_use(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of each code among those of the images, (levels,)."""
    codes = GoldenEncoder(bundle).run(images).tensors[coded(bundle)]
    holds = bundle.program.tensor(coded(bundle)).holds
    assert isinstance(holds, Codes)  # an edge graph reads its centres
    return np.bincount(codes.ravel(), minlength=holds.levels) / codes.size


def confusion(bundle: Bundle, labels: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.int64]:
    """Counts int64 (classes, classes); rows are the truth."""
    classes = len(bundle.contract.class_names)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def precision(bundle: Bundle, labels: NDArray[Any], evaluation: Evaluation) -> Precision:
    """Average precision by class at those main rates that were measured. ToolMissingError: no pycocotools."""
    from semflash.outputs.average_precision import class_precisions

    classes = len(bundle.contract.class_names)
    counted = labels[present(labels) & (labels[..., IGNORED] != 1)]
    objects = np.bincount(counted[:, CLASS].astype(np.int64), minlength=classes)
    by_ber = {
        ber: class_precisions(labels, evaluation.predictions[ber], classes)
        for ber in MAIN_BERS
        if ber in evaluation.predictions
    }
    return Precision(objects.tolist(), by_ber)


def chosen(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Which images are shown: the first ones of different classes, or the first scenes with objects.

    >>> chosen(np.array([3, 3, 1, 3, 0, 2, 4])).tolist()
    [0, 2, 4, 5]
    """
    if labels.ndim == 1:
        _, first = np.unique(labels, return_index=True)
        return np.sort(first)[:EXAMPLES]
    empty = ~(present(labels) & (labels[..., IGNORED] != 1)).any(1)
    return np.sort(np.argsort(empty, kind="stable")[:EXAMPLES])


def examples(
    bundle: Bundle, images: NDArray[np.uint8], labels: NDArray[Any], seed: int
) -> tuple[list[Example], Importance]:
    """Some images with what the decoder makes of them, and how their importance was found."""
    which = chosen(labels)
    payloads = GoldenEncoder(bundle).payloads(images[which])
    damaged = flip_bits(payloads, DAMAGED_BER, channel_rng(seed, DAMAGED_BER))
    decoder = EdgeDecoder(bundle)
    features = [decoder.features(payloads, 0.0), decoder.features(damaged, DAMAGED_BER)]
    readings = [read(decoder.classify(values), bundle.contract) for values in features]
    maps = importance(bundle, decoder, features[0], labels[which])
    judge = Judge(bundle.contract, labels)
    found = []
    for row, index in enumerate(which):
        answers = readings[0][row], readings[1][row]
        truth = judge.truth_words(int(index))
        example = Example(
            images[index], f"scene {index}" if judge.detects else truth, truth,
            judge.words(answers[0]), judge.words(answers[1]),
            as_map(features[0][row]).mean(-1), as_map(features[1][row]).mean(-1), maps.maps[row],
        )  # fmt: skip
        found.append(_with_boxes(example, labels[index], *answers) if judge.detects else example)
    return found, maps


def _with_boxes(example: Example, boxes: NDArray[Any], clean: Reading, damaged: Reading) -> Example:
    if clean.objects is None or damaged.objects is None:
        raise TypeError("only a detector's answers have boxes")
    found = shown(clean.objects), shown(damaged.objects)
    return replace(example, boxes=boxes[present(boxes)], found=found)


def history(bundle: Bundle) -> list[dict[str, Any]]:
    """Records of the training out of history.json; empty where the bundle has none."""
    if bundle.record.history is None:
        return []
    records = json.loads((bundle.path / bundle.record.history.file).read_text(encoding="utf-8"))
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def read_costs(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Records of `semflash bench --json` (an object or a list), or of docs/benchmarks.json.

    Raises:
        UsageError: unreadable, or neither.
    """
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot read a bench file: {error}", value=path, remedy="semflash bench BUNDLE --json > FILE"
            ) from error
        before = len(found)
        found += list(_records(content))
        if len(found) == before:
            raise UsageError(
                "no record of `semflash bench` in it",
                value=path,
                remedy="semflash bench BUNDLE --json > FILE",
            )
    return found


def _records(content: Any) -> Iterable[dict[str, Any]]:
    if isinstance(content, dict) and "counts_median" in content:
        yield content
    elif isinstance(content, dict):
        for inner in content.values():
            yield from _records(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _records(inner)
