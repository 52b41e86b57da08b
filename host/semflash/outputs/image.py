"""Pictures: a decoder that gives the image back, judged by PSNR and SSIM against the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.chance import Chance
from semflash.outputs.kinds import ImageTask
from semflash.outputs.metrics import PSNR, SSIM, Score, normal_interval
from semflash.outputs.output import Array, Judge, Output, Picture, Reading, Verdict
from semflash.outputs.psnr_ssim import psnr, ssim


@dataclass(frozen=True)
class ImageReading(Reading):
    """A picture float32 (H, W, C) in [0, 1]."""

    picture: Array = field(default_factory=lambda: np.zeros((0, 0, 1), np.float32))


class Image(Output):
    """Pictures float32 (B, H, W, C), in [0, 1]; what a graph gives beyond that is clipped."""

    kind, verb, noun = "image", "gives pictures", "image codecs"
    metrics = (PSNR, SSIM)
    needs_classes = False

    def __init__(self, class_names: Sequence[str], task: ImageTask) -> None:
        super().__init__(class_names)
        self.task = task

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.task.height, self.task.width, self.task.channels

    def check_labels(self, labels: NDArray[Any]) -> None:
        """Any labels will do: none is read."""
        del labels

    def read(self, outputs: Array) -> list[Reading]:
        """The pictures."""
        return [ImageReading("a picture", None, picture) for picture in clipped(outputs)]

    def truth(self, images: Any, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """The images themselves, uint8 (N, H, W, C)."""
        del labels
        found: NDArray[np.uint8] = images
        return found

    def answers(self, outputs: Array, truth: Any) -> NDArray[np.float64]:
        """PSNR and SSIM of each picture, float64 (N, 2): pictures of a whole split would fill the memory."""
        pictures, originals = clipped(outputs), unit(truth)
        return np.stack([psnr(pictures, originals), ssim(pictures, originals)], axis=1)

    def joined(self, parts: Sequence[Any]) -> NDArray[np.float64]:
        """One array."""
        return np.concatenate(parts)

    def measure(self, answers: Any, truth: Any, *, seed: int = 0) -> tuple[Score, ...]:
        """Means over the images with normal intervals."""
        del truth, seed
        return mean_score(answers[:, 0]), mean_score(answers[:, 1])

    def chance(self, images: Any, labels: NDArray[Any]) -> Chance:
        """By giving the mean of all images."""
        del labels
        return Chance.of_pictures(images)

    def judge(self, images: Any, labels: NDArray[Any]) -> Judge:
        """By the images."""
        del labels
        return ImageJudge(images)


class ImageJudge(Judge):
    """Compares pictures with images uint8 (N, H, W, C), an array or one that reads them when asked."""

    metric = PSNR

    def __init__(self, images: Any) -> None:
        self._images = images
        self._similar, self._count = 0.0, 0

    def __len__(self) -> int:
        return len(self._images)

    def judge(self, reading: Reading, index: int) -> Verdict:
        """PSNR and SSIM, with the original and what arrived."""
        assert isinstance(reading, ImageReading)  # what Image.read made
        original = np.asarray(self._images[index])
        pair = reading.picture[None], unit(original[None])
        ratio, similar = float(psnr(*pair)[0]), float(ssim(*pair)[0])
        self._similar, self._count = self._similar + similar, self._count + 1
        words = f"{PSNR.text(ratio)}, SSIM {SSIM.number(similar)}"
        record = {PSNR.name: round(ratio, 4), SSIM.name: round(similar, 6)}
        shown = Picture("original", original), Picture("received", pixels(reading.picture))
        return Verdict(ratio, None, words, "", None, record, shown)

    def figures(self) -> dict[str, float]:
        """``ssim`` over the images judged so far."""
        return {SSIM.name: self._similar / self._count} if self._count else {}


def clipped(outputs: Array) -> Array:
    """Pictures within [0, 1]."""
    return np.clip(outputs, np.float32(0), np.float32(1))


def unit(images: NDArray[np.uint8]) -> Array:
    """Images uint8 as pictures float32 in [0, 1]."""
    return images.astype(np.float32) / np.float32(255)


def pixels(picture: Array) -> NDArray[np.uint8]:
    """A picture in [0, 1] as uint8, the nearest value."""
    return np.rint(picture * np.float32(255)).astype(np.uint8)


def mean_score(values: NDArray[np.float64]) -> Score:
    """The mean of one value an image, float64 (N,), with its normal 95 % interval (1.96 standard errors).

    >>> mean_score(np.array([20.0, 30.0])).value
    25.0
    """
    mean, around = float(values.mean()), values - values.mean()
    low, high = normal_interval(0.0, float((around * around).sum()), len(values))
    return Score(mean, mean + low, mean + high)
