"""What a tail's output says about an image, and whether that is right: labels, or objects with their boxes.

For a detector an image is right when every object is found (same class, IoU of at least 0.5, score of at
least 0.3) and nothing else is; the mean average precision over all images stands beside it at the end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.schema import Contract
from semflash.outputs.boxes import CLASS, IGNORED, overlap, present
from semflash.outputs.detections import decode
from semflash.outputs.kinds import Detector

#: Objects below this score are kept for the mean average precision, but neither shown nor counted.
SHOWN_SCORE = 0.3
IOU = 0.5
_SCORE = 5


@dataclass(frozen=True)
class Reading:
    """One image as the edge understands it.

    Attributes:
        predicted: class; of a detector: the number of objects shown.
        confidence: softmax of the class's logit; of a detector: the best score, 0 without objects. 0..1.
        objects: of a detector float32 (n, 6): left, top, right, bottom, class, score; None: a classifier.
    """

    predicted: int
    confidence: float
    objects: NDArray[np.float32] | None = None


def read(outputs: NDArray[np.float32], contract: Contract) -> list[Reading]:
    """A reading for each image; outputs: logits (N, classes), or a detector's maps."""
    if isinstance(contract.task, Detector):
        return [
            Reading(
                int((rows[:, _SCORE] >= SHOWN_SCORE).sum()), float(rows[:, _SCORE].max(initial=0.0)), rows
            )
            for rows in decode(outputs, contract.task, len(contract.class_names))
        ]
    logits = outputs.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return [Reading(int(row.argmax()), float(row.max())) for row in shares]


class Judge:
    """Compares readings with the labels of a split.

    Args:
        labels: classes (N,), or boxes (N, M, 6).
    """

    def __init__(self, contract: Contract, labels: NDArray[Any]) -> None:
        self._names, self._labels = contract.class_names, labels
        self.detects = isinstance(contract.task, Detector)
        self._seen: dict[int, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def right(self, reading: Reading, index: int) -> bool:
        """Whether it is right about image `index`; a detector's objects are kept for :meth:`figures`."""
        if reading.objects is None:
            return reading.predicted == int(self._labels[index])
        self._seen[index] = reading.objects
        return found_all(self._truth(index), shown(reading.objects))

    def label(self, index: int) -> int:
        """The right class of image `index`; of a detector the number of its objects."""
        return len(self._truth(index)) if self.detects else int(self._labels[index])

    def record(self, reading: Reading, index: int) -> dict[str, Any]:
        """Plain values for the `image` line of the records (docs/monitor.md)."""
        if reading.objects is None:
            predicted = {"predicted": reading.predicted, "confidence": round(reading.confidence, 6)}
            return {"label": int(self._labels[index]), **predicted}
        return {
            "boxes": [[round(float(v), 2) for v in row] for row in self._truth(index)],
            "objects": [[round(float(v), 4) for v in row] for row in reading.objects],
        }

    def words(self, reading: Reading) -> str:
        """The reading for people: the class, or what was counted."""
        if reading.objects is None:
            return self._names[reading.predicted]
        return self._counted(shown(reading.objects))

    def truth_words(self, index: int) -> str:
        """What would be right, in the same words."""
        return self._counted(self._truth(index)) if self.detects else self._names[int(self._labels[index])]

    def figures(self) -> dict[str, float]:
        """``map50`` over the images judged so far, and how many objects; nothing for a classifier.

        Raises:
            ToolMissingError: pycocotools is not installed.
        """
        if not self._seen:
            return {}
        from semflash.outputs.average_precision import mean_average_precision

        boxes = np.stack([self._labels[index] for index in self._seen])
        found = list(self._seen.values())
        return {
            "map50": mean_average_precision(boxes, found, len(self._names)),
            "objects": int((present(boxes) & (boxes[..., IGNORED] != 1)).sum()),
            "objects_shown": sum(len(shown(objects)) for objects in found),
        }

    def _truth(self, index: int) -> NDArray[np.float32]:
        boxes: NDArray[np.float32] = self._labels[index]
        return boxes[present(boxes)]

    def _counted(self, rows: NDArray[np.float32]) -> str:
        counts = Counter(self._names[int(row[CLASS])] for row in rows)
        return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"


def shown(objects: NDArray[np.float32]) -> NDArray[np.float32]:
    """The objects that are certain enough."""
    return objects[objects[:, _SCORE] >= SHOWN_SCORE]


def found_all(truth: NDArray[np.float32], objects: NDArray[np.float32]) -> bool:
    """Whether every true object (m, 6) has its own among ``objects`` (n, 6), best first, and none is left.

    Ignored true objects need not be found, and take what lies on them.
    """
    missing = list(truth[truth[:, IGNORED] != 1])
    ignored = truth[truth[:, IGNORED] == 1]
    for row in objects:
        good = [i for i, box in enumerate(missing) if box[CLASS] == row[CLASS]]
        shares = [float(overlap(missing[i][None], row)[0]) for i in good]
        if shares and max(shares) >= IOU:
            missing.pop(good[int(np.argmax(shares))])
        elif not len(ignored) or overlap(ignored, row).max() < IOU:
            return False
    return not missing
