"""A YOLO-like detector that was trained elsewhere, as a task: it is learnt from itself, without labels.

A codec's first stage reconstructs features, as for every task. In the second, codec and tail learn to give
the boxes and scores that the uncompressed network gives (Hinton et al. 2015, arXiv 1503.02531):

    sum over anchors and classes of KL(teacher's score || student's score), as Bernoulli variables
    + 2 x sum over anchors of s (1 - GIoU of both boxes)          s: the teacher's best score of the anchor
    both over the sum of s, at least 1 per image

GIoU: Rezatofighi et al. 2019, arXiv 1902.09630. Deviation from the codec paper and from the detectors' own
training: no loss of labels, so neither anchors nor their assignment to objects need to be known, and the
original is the most that can be reached. No temperature: scores come without their logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from semflash.data.augment import Moves
from semflash.data.dataset import Dataset
from semflash.errors import DatasetError, TrainingError
from semflash.outputs.anchor_boxes import decode_anchors
from semflash.outputs.average_precision import DETECTIONS_MAX, mean_average_precision
from semflash.outputs.kinds import BOX, AnchorTask, Task
from semflash.tasks.kinds import TaskKind

#: As the validation of released detectors of this family has them; COCO's mAP looks at 100 objects.
SCORE_MIN, OVERLAP_MAX, CANDIDATES_MAX, OBJECTS_MAX = 0.001, 0.7, 1_000, DETECTIONS_MAX
BOX_WEIGHT = 2.0
#: Keeps logarithms of scores finite, and their gradients alive where a score is 0 or 1.
_LEAST = 1e-6
_AREA = 1e-12


@dataclass(frozen=True)
class AnchorDetection(TaskKind):
    """Boxes as shares of the image and scores per class; distillation; mAP at IoU 0.5.

    Attributes:
        anchors: Boxes per image.
        classes: How many.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """

    anchors: int
    classes: int
    height: int
    width: int

    name, metric = "detection", "map50"
    only_distils = True

    @classmethod
    def of_boxes(cls, boxes_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> AnchorDetection:
        """For an output (anchors, 4 + classes) and images (H, W, C). TrainingError: there is no class."""
        anchors, values = boxes_shape if len(boxes_shape) == 2 else (0, 0)
        if values <= BOX:
            raise TrainingError(
                "the task network's output is neither logits nor the boxes of a detector", value=boxes_shape
            )
        return cls(anchors, values - BOX, image_shape[0], image_shape[1])

    def targets(self, labels: np.ndarray, moves: Moves, image_size: tuple[int, int]) -> np.ndarray:
        """Nothing is learnt of labels: zeros float32 (B,)."""
        del moves, image_size
        return np.zeros(len(labels), np.float32)

    def loss(self, targets: Any, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """0: there is no loss of labels."""
        del targets, label_smoothing
        return ops.zeros((), outputs.dtype)

    def per_image_loss(self, targets: Any, outputs: Any) -> Any:
        """TrainingError: there is none, so that features have no importance for it."""
        raise TrainingError(
            "an imported detector has no loss of labels, whose gradient would tell the features' importance",
            remedy="xai_weight=0, and a family that does not need it",
        )

    def distillation(self, targets: Any, student: Any, teacher: Any, temperature: float) -> Any:
        """The loss above, a scalar."""
        del targets, temperature
        ours, theirs = (_LEAST + (1 - 2 * _LEAST) * boxes[..., BOX:] for boxes in (student, teacher))
        divergence = theirs * (ops.log(theirs) - ops.log(ours))
        divergence += (1 - theirs) * (ops.log(1 - theirs) - ops.log(1 - ours))
        sure = ops.max(teacher[..., BOX:], axis=-1)
        apart = sure * (1 - generalised_iou(student[..., :BOX], teacher[..., :BOX]))
        images = ops.cast(ops.shape(teacher)[0], student.dtype)
        total = ops.sum(divergence) + BOX_WEIGHT * ops.sum(apart)
        return total / ops.maximum(ops.sum(sure), images)

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """mAP at IoU 0.5."""
        return mean_average_precision(labels, decode_anchors(np.asarray(outputs), self.task), self.classes)

    @property
    def task(self) -> AnchorTask:
        """With the decoding parameters."""
        return AnchorTask(
            self.height, self.width, self.anchors, SCORE_MIN, OVERLAP_MAX, CANDIDATES_MAX, OBJECTS_MAX
        )

    def contract_task(self) -> Task:
        """The same, for a bundle."""
        return self.task

    def check(self, data: Dataset) -> None:
        """Boxes, and as many classes as the output has."""
        if not data.has_boxes or len(data.class_names) != self.classes:
            raise DatasetError(
                f"this detector needs a data set with boxes of {self.classes} classes",
                value=data.name,
                remedy="use a COCO or VOC folder with its classes, or import it with that data set",
            )


def generalised_iou(ours: Any, theirs: Any) -> Any:
    """GIoU -1..1, float (...), of boxes (..., 4): x, y of the centre, width, height."""
    corners = [
        (boxes[..., :2] - half, boxes[..., :2] + half)
        for boxes in (ours, theirs)
        for half in (ops.maximum(boxes[..., 2:], 0.0) / 2,)
    ]
    (low, high), (other_low, other_high) = corners
    shared = _area(ops.maximum(low, other_low), ops.minimum(high, other_high))
    union = _area(low, high) + _area(other_low, other_high) - shared
    hull = _area(ops.minimum(low, other_low), ops.maximum(high, other_high))
    return shared / (union + _AREA) - (hull - union) / (hull + _AREA)


def _area(low: Any, high: Any) -> Any:
    sides = ops.maximum(high - low, 0.0)
    return sides[..., 0] * sides[..., 1]
