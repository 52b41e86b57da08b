"""Whether a network learnt anything: its accuracy on the validation split against guessing.

Guessing always names the most frequent class of the split. An accuracy counts as above that only with a
margin: two standard errors of the guess on so many images, and at least half of the guess or five points,
whichever is less. For 10 classes and 5,000 images that is 15 %, for 4 classes and 40 images 38.7 %. A
detector's figure of merit, whose guess is worth nothing, must reach 1 %. A picture is guessed as the mean of
all images; its PSNR must be above that by 0.5 dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from semflash.outputs.metrics import ACCURACY, PSNR, Metric
from semflash.outputs.psnr_ssim import psnr

MARGIN = 0.05
STANDARD_ERRORS = 2.0
DETECTOR_LEAST = 0.01
PICTURE_MARGIN_DB = 0.5


@dataclass(frozen=True)
class Chance:
    """What guessing would give on a validation split.

    Attributes:
        guess: Accuracy of naming the most frequent class, 0..1; 0 for boxes; PSNR of the mean image.
        least: What counts as above it.
        images: In the split.
        metric: What both are counted in.
    """

    guess: float
    least: float
    images: int
    metric: Metric = ACCURACY

    @classmethod
    def of(cls, labels: np.ndarray) -> Chance:
        """Of labels int (N,), or of boxes (N, M, 6)."""
        if labels.ndim > 1:
            return cls(0.0, DETECTOR_LEAST, len(labels))
        guess = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
        error = STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / len(labels))
        return cls(guess, min(1.0, guess + max(error, min(MARGIN, guess / 2))), len(labels))

    @classmethod
    def of_pictures(cls, images: np.ndarray) -> Chance:
        """Of images uint8 (N, H, W, C) that are to be given back."""
        originals = images.astype(np.float32) / np.float32(255)
        mean = np.broadcast_to(originals.mean(0), originals.shape)
        guess = float(psnr(mean, originals).mean())
        return cls(guess, guess + PICTURE_MARGIN_DB, len(images), PSNR)

    def is_above(self, accuracy: float) -> bool:
        """Whether an accuracy (mAP of a detector, PSNR of pictures) is above guessing.

        >>> Chance.of(np.repeat([0, 1, 2, 3], 100)).is_above(0.231)
        False
        """
        return accuracy >= self.least

    def words(self, accuracy: float) -> str:
        """What is wrong with an accuracy that is not above it."""
        found, guess, least = (self.metric.text(value, 1) for value in (accuracy, self.guess, self.least))
        return (
            f"{found} on {self.images:,} validation images is no better than guessing "
            f"({guess}; {least} or more is needed)"
        )


#: What helps, for messages.
REMEDY = (
    "more images or epochs, or smaller batches (--task-set epochs=60, --task-set batch=16, "
    "--set task_epochs=30, --set batch=16; in a semflash.toml task_steps, codec_steps and batch), "
    "and look whether the labels are right"
)
