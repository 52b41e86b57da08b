"""Objects with their boxes, out of the maps or the anchors of a detector, judged by mAP at IoU 0.5.

While images come one by one, an image is right when every object is found (same class, IoU of at least 0.5,
score of at least 0.3) and nothing else is; the mean average precision over all images stands beside it at the
end.
"""

from __future__ import annotations

import abc
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.errors import DatasetError
from semflash.outputs.anchor_boxes import decode_anchors
from semflash.outputs.boxes import CLASS, IGNORED, overlap, present
from semflash.outputs.chance import Chance
from semflash.outputs.detections import GEOMETRY, decode_maps
from semflash.outputs.kinds import BOX, AnchorTask, DetectionTask
from semflash.outputs.labels import check_classes
from semflash.outputs.metrics import IMAGES_RIGHT, MAP50, Score
from semflash.outputs.output import Array, Judge, Output, Reading, Verdict

#: Objects below this score are kept for the mean average precision, but neither shown nor counted.
SHOWN_SCORE = 0.3
IOU = 0.5
_SCORE = 5
_SCORE_LEAST = 1e-9


@dataclass(frozen=True)
class ObjectsReading(Reading):
    """The objects of an image; the confidence is the best score, 0 without objects.

    Attributes:
        objects: float32 (n, 6): left, top, right, bottom, class, score.
    """

    objects: Array = field(default_factory=lambda: np.zeros((0, 6), np.float32))

    @property
    def count(self) -> int:
        """How many objects are certain enough to be shown."""
        return len(shown(self.objects))


class Objects(Output):
    """What the two kinds of detectors have in common."""

    verb, noun = "detects objects", "detectors"
    metrics = (MAP50,)
    needs_package = "pycocotools"

    @abc.abstractmethod
    def objects(self, outputs: Array) -> list[Array]:
        """Objects of each image, float32 (n, 6), the most certain first."""

    def check_labels(self, labels: NDArray[Any]) -> None:
        """Refuse labels without boxes, and classes that the bundle has not. DatasetError."""
        if labels.ndim != 3:
            raise DatasetError(
                "the bundle detects objects, and the data set has no boxes",
                value=f"labels {labels.shape}",
                remedy="use its data set",
            )
        check_classes(labels[..., CLASS][labels[..., CLASS] >= 0].astype(np.int64), len(self.class_names))

    def read(self, outputs: Array) -> list[Reading]:
        """The objects of each image."""
        return [
            ObjectsReading(
                counted(shown(rows), self.class_names), float(rows[:, _SCORE].max(initial=0.0)), rows
            )
            for rows in self.objects(outputs)
        ]

    def answered(self, scores: Array) -> NDArray[np.bool_]:
        """Where an object is shown, or the best place where there is none."""
        return scores >= min(math.log(SHOWN_SCORE), float(scores.max()))

    def truth(self, images: Any, labels: NDArray[Any]) -> NDArray[Any]:
        """Boxes (N, M, 6)."""
        del images
        return labels

    def answers(self, outputs: Array, truth: Any) -> list[Array]:
        """Objects of each image, float32 (n, 6)."""
        del truth
        return self.objects(outputs)

    def joined(self, parts: Sequence[Any]) -> list[Array]:
        """One list."""
        return [rows for part in parts for rows in part]

    def measure(self, answers: Any, truth: Any, *, seed: int = 0) -> tuple[Score, ...]:
        """Mean average precision with a bootstrap interval over the images."""
        from semflash.outputs.average_precision import precision_interval

        return (Score(*precision_interval(truth, answers, len(self.class_names), seed=seed)),)

    def chance(self, images: Any, labels: NDArray[Any]) -> Chance:
        """Nothing."""
        del images
        return Chance.of(labels)

    def judge(self, images: Any, labels: NDArray[Any]) -> Judge:
        """By the boxes."""
        del images
        return ObjectsJudge(self.class_names, labels)


class Boxes(Objects):
    """Maps float32 (B, height, width, classes + 4), :mod:`semflash.outputs.detections`."""

    kind = "boxes"

    def __init__(self, class_names: Sequence[str], task: DetectionTask) -> None:
        super().__init__(class_names)
        self.task = task

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, classes + 4)."""
        return self.task.height, self.task.width, len(self.class_names) + GEOMETRY

    def objects(self, outputs: Array) -> list[Array]:
        """The peaks of the maps."""
        return decode_maps(outputs, self.task, len(self.class_names))

    def log_scores(self, outputs: Array) -> Array:
        """Of an object at every cell and class."""
        heat = outputs[..., : len(self.class_names)].reshape(len(outputs), -1)
        return -np.logaddexp(np.float32(0), -heat)


class Anchors(Objects):
    """Boxes float32 (B, anchors, 4 + classes), :mod:`semflash.outputs.anchor_boxes`."""

    kind = "anchors"

    def __init__(self, class_names: Sequence[str], task: AnchorTask) -> None:
        super().__init__(class_names)
        self.task = task

    @property
    def shape(self) -> tuple[int, ...]:
        """(anchors, 4 + classes)."""
        return self.task.anchors, BOX + len(self.class_names)

    def objects(self, outputs: Array) -> list[Array]:
        """What is left of the boxes after thresholds and suppression."""
        return decode_anchors(outputs, self.task)

    def log_scores(self, outputs: Array) -> Array:
        """Of an object at every anchor and class."""
        return np.log(np.maximum(outputs[..., BOX:].reshape(len(outputs), -1), _SCORE_LEAST))


class ObjectsJudge(Judge):
    """Compares objects with boxes (N, M, 6)."""

    metric = IMAGES_RIGHT

    def __init__(self, class_names: Sequence[str], labels: NDArray[Any]) -> None:
        self._names, self._labels = class_names, labels
        self._seen: dict[int, Array] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def judge(self, reading: Reading, index: int) -> Verdict:
        """Whether all objects and they alone were found; the objects are kept for :meth:`figures`."""
        assert isinstance(reading, ObjectsReading)  # what Objects.read made
        self._seen[index] = reading.objects
        boxes = self._labels[index]
        truth = boxes[present(boxes)]
        right = found_all(truth, shown(reading.objects))
        record = {
            "boxes": [[round(float(v), 2) for v in row] for row in truth],
            "objects": [[round(float(v), 4) for v in row] for row in reading.objects],
        }
        wanted = counted(truth, self._names)
        return Verdict(float(right), right, reading.words, wanted, reading.confidence, record)

    def figures(self) -> dict[str, float]:
        """``map50`` over the images judged so far, and how many objects.

        Raises:
            ToolMissingError: pycocotools is not installed.
        """
        if not self._seen:
            return {}
        from semflash.outputs.average_precision import mean_average_precision

        boxes = np.stack([self._labels[index] for index in self._seen])
        found = list(self._seen.values())
        return {
            MAP50.name: mean_average_precision(boxes, found, len(self._names)),
            "objects": int((present(boxes) & (boxes[..., IGNORED] != 1)).sum()),
            "objects_shown": sum(len(shown(objects)) for objects in found),
        }


def counted(rows: Array, names: Sequence[str]) -> str:
    """How many objects of which class, in words."""
    counts = Counter(names[int(row[CLASS])] for row in rows)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"


def shown(objects: Array) -> Array:
    """The objects that are certain enough."""
    return objects[objects[:, _SCORE] >= SHOWN_SCORE]


def found_all(truth: Array, objects: Array) -> bool:
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
