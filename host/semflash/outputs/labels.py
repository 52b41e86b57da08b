"""Labels: a classifier's logits, read as their largest, judged by accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError
from semflash.outputs.chance import Chance
from semflash.outputs.metrics import ACCURACY, Score, wilson_interval
from semflash.outputs.output import Array, Judge, Output, Reading, Verdict

_REMEDY = "use its data set"


@dataclass(frozen=True)
class LabelReading(Reading):
    """The class with the largest logit; the confidence is its softmax."""

    label: int = 0

    @property
    def number(self) -> int:
        """The class."""
        return self.label


class Labels(Output):
    """Logits float32 (B, classes)."""

    kind, verb, noun = "labels", "classifies images", "classifiers"
    metrics = (ACCURACY,)
    counts_in_numbers = True

    @property
    def shape(self) -> tuple[int, ...]:
        """(classes,)."""
        return (len(self.class_names),)

    def check_labels(self, labels: NDArray[Any]) -> None:
        """Refuse boxes, and classes that the bundle has not. DatasetError."""
        if labels.ndim != 1:
            raise DatasetError(
                "the bundle classifies images, and the data set has boxes",
                value=f"labels {labels.shape}",
                remedy=_REMEDY,
            )
        check_classes(labels, len(self.class_names))

    def read(self, outputs: Array) -> list[Reading]:
        """The class of each image with its confidence."""
        logits = outputs.astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = shares.argmax(axis=1)
        return [
            LabelReading(self.class_names[label], float(row[label]), int(label))
            for label, row in zip(best, shares, strict=True)
        ]

    def log_scores(self, outputs: Array) -> Array:
        """Of the classes."""
        return log_probabilities(outputs)

    def answered(self, scores: Array) -> NDArray[np.bool_]:
        """The best class."""
        return np.arange(len(scores)) == scores.argmax()

    def truth(self, images: Any, labels: NDArray[Any]) -> NDArray[Any]:
        """The labels, int (N,)."""
        del images
        return labels

    def answers(self, outputs: Array, truth: Any) -> NDArray[np.int64]:
        """Predicted classes int64 (N,)."""
        del truth
        return outputs.argmax(1)

    def joined(self, parts: Sequence[Any]) -> NDArray[np.int64]:
        """One array."""
        return np.concatenate(parts)

    def measure(self, answers: Any, truth: Any, *, seed: int = 0) -> tuple[Score, ...]:
        """Accuracy with Wilson's interval."""
        del seed
        right = int((answers == truth).sum())
        return (Score(right / len(truth), *wilson_interval(right, len(truth))),)

    def chance(self, images: Any, labels: NDArray[Any]) -> Chance:
        """By naming the most frequent class."""
        del images
        return Chance.of(labels)

    def judge(self, images: Any, labels: NDArray[Any]) -> Judge:
        """By the labels."""
        del images
        return LabelJudge(self.class_names, labels)


class LabelJudge(Judge):
    """Compares classes with labels int (N,)."""

    metric = ACCURACY

    def __init__(self, class_names: Sequence[str], labels: NDArray[Any]) -> None:
        self._names, self._labels = class_names, labels

    def __len__(self) -> int:
        return len(self._labels)

    def number(self, index: int) -> int:
        """The right class."""
        return int(self._labels[index])

    def judge(self, reading: Reading, index: int) -> Verdict:
        """Right or wrong."""
        assert isinstance(reading, LabelReading)  # what Labels.read made
        label, sure = int(self._labels[index]), reading.confidence or 0.0
        right = reading.label == label
        record = {"label": label, "predicted": reading.label, "confidence": round(sure, 6)}
        classes = label, reading.label
        return Verdict(float(right), right, reading.words, self._names[label], sure, record, classes=classes)


def check_classes(labels: NDArray[Any], classes: int) -> None:
    """Refuse labels that are no whole numbers from 0 to ``classes`` - 1. DatasetError."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError("labels must be integers", value=labels.dtype, remedy=_REMEDY)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise DatasetError(
            f"the bundle knows {classes} classes", value=f"label {int(labels[wrong][0])}", remedy=_REMEDY
        )


def log_probabilities(logits: Array) -> Array:
    """Logarithm of the softmax over the last axis.

    >>> np.exp(log_probabilities(np.zeros((1, 4), np.float32))).round(2).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    shifted = logits - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
