"""What a task network is for: how images and labels become a batch, the losses, and the figure of merit.

Classification is the default; detection is in :mod:`semflash.tasks.detector` and, for imported networks,
:mod:`semflash.tasks.anchor_detector`. Which one a tail is for: :mod:`semflash.tasks.registry`.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from keras import ops

from semflash.data.augment import Augmentation, Moves, augment_and_tell
from semflash.data.dataset import Dataset
from semflash.errors import DatasetError
from semflash.outputs.kinds import CLASSIFICATION, Task
from semflash.tasks import losses


class TaskKind(abc.ABC):
    """A kind of task. ``outputs`` are what the tail gives, ``targets`` what :meth:`batch` gives for training.

    Attributes:
        name: What it is called.
        metric: Name of the figure of merit, a share, 0..1.
        only_distils: It has no loss of labels; a codec learns from the task network alone.
    """

    name: str
    metric: str
    only_distils: bool = False

    @abc.abstractmethod
    def targets(self, labels: np.ndarray, moves: Moves, image_size: tuple[int, int]) -> np.ndarray:
        """What the losses take, of a batch's labels whose images (height, width) were moved like this."""

    def batch(
        self, images: np.ndarray, labels: np.ndarray, how: Augmentation, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augmented float32 images (B, H, W, C) in [0, 1] and targets, of uint8 images and their labels."""
        augmented, moves = augment_and_tell(images, how, rng)
        return augmented, self.targets(labels, moves, (images.shape[1], images.shape[2]))

    @abc.abstractmethod
    def loss(self, targets: Any, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """The task's loss, a scalar."""

    @abc.abstractmethod
    def per_image_loss(self, targets: Any, outputs: Any) -> Any:
        """The loss of each image, float (B,), for the importance of its features."""

    @abc.abstractmethod
    def distillation(self, targets: Any, student: Any, teacher: Any, temperature: float) -> Any:
        """How far the student's outputs are from the teacher's, a scalar."""

    @abc.abstractmethod
    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """The figure of merit, 0..1."""

    @abc.abstractmethod
    def contract_task(self) -> Task:
        """How a bundle describes the tail's output."""

    @abc.abstractmethod
    def check(self, data: Dataset) -> None:
        """Refuse a data set whose labels are of another kind. DatasetError."""


class Classification(TaskKind):
    """One label per image; cross entropy; accuracy."""

    name, metric = "classification", "accuracy"

    def targets(self, labels: np.ndarray, moves: Moves, image_size: tuple[int, int]) -> np.ndarray:
        """The labels themselves, int32 (B,)."""
        del moves, image_size
        return labels

    def loss(self, targets: Any, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """Cross entropy."""
        return losses.cross_entropy(targets, outputs, label_smoothing)

    def per_image_loss(self, targets: Any, outputs: Any) -> Any:
        """Cross entropy of each image in nats."""
        target = ops.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        return -ops.sum(target * ops.log_softmax(outputs, axis=-1), axis=-1)

    def distillation(self, targets: Any, student: Any, teacher: Any, temperature: float) -> Any:
        """KL divergence at a temperature."""
        del targets
        return losses.distillation(student, teacher, temperature)

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """Share of right labels."""
        return losses.accuracy(labels, outputs)

    def contract_task(self) -> Task:
        """Classification."""
        return CLASSIFICATION

    def check(self, data: Dataset) -> None:
        """One class per image."""
        if data.has_boxes:
            raise DatasetError(
                "this network classifies images, and the data set has boxes",
                value=data.name,
                remedy='network = "detector" in the task recipe',
            )
