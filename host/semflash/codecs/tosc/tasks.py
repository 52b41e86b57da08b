"""What a decoder of TOSC is for: one label an image, or the boxes of its objects.

Both say the same few things, so that training and measuring ask for neither.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.tosc.sizes import ToscSizes
from semflash.codecs.tosc.views import BoxViews, LabelViews, ViewsOf
from semflash.data.augment import Augmentation
from semflash.data.dataset import Dataset
from semflash.errors import UsageError
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.tasks.detector import Detection
from semflash.tasks.losses import distillation


class Purpose(abc.ABC):
    """Loss, targets and figure of merit of what the decoder gives.

    Args:
        sizes: Of the codec.
    """

    #: Views of the training images with targets for :meth:`loss`.
    views: type[ViewsOf]
    #: That each image meets where the figure of merit is watched.
    channels: int

    def __init__(self, sizes: ToscSizes) -> None:
        self.sizes = sizes

    @abc.abstractmethod
    def loss(self, targets: Any, outputs: Any, answer: Any, weight: float, temperature: float) -> Any:
        """The loss of labels and teacher, a scalar.

        Args:
            targets: Of the views.
            outputs: What the decoder gives.
            answer: What the teacher gives for the same views; not read at a weight of 0.
            weight: alpha, of the teacher's term, 0..1.
            temperature: T of the teacher's term.
        """

    @abc.abstractmethod
    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """The figure of merit of outputs (N, ...), 0..1."""

    @property
    @abc.abstractmethod
    def task(self) -> Task:
        """As a bundle describes it."""

    @abc.abstractmethod
    def check_views(self, how: Augmentation) -> None:
        """UsageError: targets do not follow this augmentation."""

    def misfit(self, data: Dataset) -> str | None:
        """What the labels of a data set are instead of those that the decoder gives; None: they fit."""
        if data.has_boxes != (self.sizes.task == "boxes"):
            return "boxes" if data.has_boxes else "one label an image"
        found = len(data.class_names)
        return None if found == self.sizes.classes else f"{found} classes"

    def told(self) -> str:
        """What the decoder gives, for messages."""
        what = {"labels": "tells", "boxes": "finds objects of"}[self.sizes.task]
        return f"{what} {self.sizes.classes} classes" + (" apart" if self.sizes.task == "labels" else "")


class LabelPurpose(Purpose):
    """Logits (B, classes): ``(1 - alpha) CE + alpha T^2 KL(teacher_T || out_T)``; share of right labels."""

    views, channels = LabelViews, 2

    def loss(self, targets: Any, outputs: Any, answer: Any, weight: float, temperature: float) -> Any:
        """Targets: float (B, classes), the share of each class in the image, all together 1."""
        loss = 0.0
        if weight < 1.0:
            entropy = -ops.mean(ops.sum(targets * ops.log_softmax(outputs, axis=-1), axis=-1))
            loss = (1.0 - weight) * entropy
        return loss + weight * distillation(outputs, answer, temperature) if weight else loss

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """Share of right labels."""
        return float((outputs.argmax(-1) == labels).mean())

    @property
    def task(self) -> Task:
        """Classification."""
        return CLASSIFICATION

    def check_views(self, how: Augmentation) -> None:
        """Shares of classes follow mixtures, too."""


class BoxPurpose(Purpose):
    """Maps (B, h, w, classes + 4) of a detector: ``L_det + alpha T^2 KL``; mAP at IoU 0.5.

    L_det is the detection loss of the labels. The divergence is that of the cells' centre probabilities;
    sizes and places of the boxes are learnt from the labels alone, so that the teacher's term comes on top
    instead of taking a share of them.
    """

    views, channels = BoxViews, 1  # a mAP takes a second

    def __init__(self, sizes: ToscSizes) -> None:
        super().__init__(sizes)
        self.kind = detection_of(sizes)

    def loss(self, targets: Any, outputs: Any, answer: Any, weight: float, temperature: float) -> Any:
        """Targets: float (B, h, w, classes + 5), :func:`semflash.tasks.detector.target_maps`."""
        loss = self.kind.loss(targets, outputs)
        if not weight:
            return loss
        return loss + weight * self.kind.distillation(targets, outputs, answer, temperature)

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """MAP at IoU 0.5."""
        return self.kind.score(labels, outputs)

    @property
    def task(self) -> Task:
        """Detection."""
        return self.kind.contract_task()

    def check_views(self, how: Augmentation) -> None:
        """Boxes follow shifts and mirrors; a mixture has no boxes that could be learnt."""
        if how.mix:
            raise UsageError(
                "scenes with boxes are not mixed", value=f"augmentation.mix={how.mix}", remedy="mix=0"
            )


def detection_of(sizes: ToscSizes) -> Detection:
    """The house's detection on the decoder's maps."""
    return Detection.of_maps(sizes.output_shape, sizes.image_shape)


def purpose_of(sizes: ToscSizes) -> Purpose:
    """That of a codec with these sizes."""
    return {"labels": LabelPurpose, "boxes": BoxPurpose}[sizes.task](sizes)
