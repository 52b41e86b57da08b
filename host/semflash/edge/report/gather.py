"""What the report says of a bundle: measured by the edge's own code (LiteRT), without TensorFlow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.bit_errors import channel_rng, flip_bits
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Detector
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import Evaluation, evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.errors import UsageError

#: The rate whose confusion matrix and reconstructed features are shown.
DAMAGED_BER = 0.05
EXAMPLES = 4
USE_IMAGES = 1_000
_POSITIONS = 16  # most steps of the occlusion along one side


@dataclass(frozen=True)
class Example:
    """One test image on its way.

    Attributes:
        image: uint8 (H, W, C). label, clean, damaged: class numbers: the truth and both answers.
        features_clean, features_damaged: decoded, mean over channels, float32 (h, w).
        importance: drop of the answer's log-probability when a place of the features is set to 0,
            float32 (h', w').
    """

    image: NDArray[np.uint8]
    label: int
    clean: int
    damaged: int
    features_clean: NDArray[np.float32]
    features_damaged: NDArray[np.float32]
    importance: NDArray[np.float32]


@dataclass(frozen=True)
class BundleView:
    """One bundle in the report.

    Attributes:
        bundle, evaluation: what was measured, and the outcome.
        use: share of each code on the first test images, float64 (K,).
        confusion: counts at :data:`DAMAGED_BER`, int64 (classes, classes), rows are the truth.
        examples: some images.
        history: records of the training, one an epoch; empty: not in the bundle.
        cost: what `semflash bench` said of this very bundle; None: not measured.
    """

    bundle: Bundle
    evaluation: Evaluation
    use: NDArray[np.float64]
    confusion: NDArray[np.int64]
    examples: list[Example]
    history: list[dict[str, Any]]
    cost: dict[str, Any] | None

    def accuracy(self, ber: float) -> float | None:
        """Share at a rate; None: not measured."""
        return next((p.accuracy for p in self.evaluation.measurement.points if p.ber == ber), None)


def view(
    bundle: Bundle, dataset: Any, bers: Sequence[float], costs: Sequence[dict[str, Any]], *,
    seed: int = 0, limit: int | None = None, split: str = "test",
) -> BundleView:  # fmt: skip
    """Measure one bundle.

    Args:
        bers: rates; :data:`DAMAGED_BER` is measured in any case.
        costs: records of `semflash bench`; the one of this bundle's hash is taken.
        seed, limit, split: as :func:`semflash.edge.evaluate.evaluate`.

    Raises:
        UsageError: a detector; further errors as `evaluate`.
    """
    if isinstance(bundle.contract.task, Detector):
        raise UsageError(
            "the report compares classifiers; this is a detector", value=bundle.name,
            remedy=f"semflash evaluate {bundle.name}",
        )  # fmt: skip
    rates = sorted({*bers, DAMAGED_BER})
    evaluation = evaluate(bundle, dataset, rates, seed=seed, limit=limit, split=split)
    part = getattr(dataset, split)
    images, labels = part.images[:limit], part.labels[:limit]
    codes = GoldenEncoder(bundle).codes(images[:USE_IMAGES])
    use = np.bincount(codes.ravel(), minlength=len(bundle.contract.centres)) / codes.size
    classes = len(bundle.contract.class_names)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, evaluation.predictions[DAMAGED_BER]), 1)
    cost = next((one for one in costs if one.get("bundle_hash") == bundle.hash_hex), None)
    return BundleView(
        bundle, evaluation, use, confusion, examples(bundle, images, labels, seed), history(bundle), cost
    )


def examples(
    bundle: Bundle, images: NDArray[np.uint8], labels: NDArray[np.integer], seed: int
) -> list[Example]:  # fmt: skip
    """The first images of different classes, with what the decoder makes of them."""
    _, first = np.unique(labels, return_index=True)
    chosen = np.sort(first)[:EXAMPLES]
    payloads = GoldenEncoder(bundle).payloads(images[chosen])
    damaged = flip_bits(payloads, DAMAGED_BER, channel_rng(seed, DAMAGED_BER))
    decoder = EdgeDecoder(bundle)
    clean_features = decoder.features(payloads, 0.0)
    damaged_features = decoder.features(damaged, DAMAGED_BER)
    answers = [decoder.classify(f).argmax(1) for f in (clean_features, damaged_features)]
    return [
        Example(
            images[index], int(labels[index]), int(answers[0][row]), int(answers[1][row]),
            as_map(clean_features[row]).mean(-1), as_map(damaged_features[row]).mean(-1),
            importance(decoder, clean_features[row]),
        )
        for row, index in enumerate(chosen)
    ]  # fmt: skip


def importance(decoder: EdgeDecoder, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each place of the features matters to the answer, by occlusion (Zeiler and Fergus 2014).

    Args:
        features: float32 (h, w, c), or a vector (c,), whose entries are the places.

    Returns:
        drop of the answer's log-probability when the place is 0 in all channels, float32 (h', w'); places are
        single ones, or squares where there are more than 16 along a side.
    """
    places = as_map(features)
    height, width = places.shape[:2]
    step = max(1, math.ceil(max(height, width) / _POSITIONS))
    rows, columns = range(0, height, step), range(0, width, step)
    hidden = np.repeat(places[None], len(rows) * len(columns) + 1, axis=0)
    for index, (y, x) in enumerate((y, x) for y in rows for x in columns):
        hidden[index + 1, y : y + step, x : x + step] = 0.0
    scores = log_probabilities(decoder.classify(hidden.reshape(-1, *features.shape)))
    answer = int(scores[0].argmax())
    drop: NDArray[np.float32] = scores[0, answer] - scores[1:, answer]
    return drop.reshape(len(rows), len(columns))


def as_map(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (h, w, c) as they are; a vector (c,) as one row of c places, (1, c, 1)."""
    return features if features.ndim == 3 else features.reshape(1, -1, 1)


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of the softmax over the last axis.

    >>> np.exp(log_probabilities(np.zeros((1, 4), np.float32))).round(2).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


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
