"""Figures of a codec in training: errors of the levels, accuracy by rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.multires.selecting import background
from semflash.data.dataset import Split
from semflash.program.reference.patches import cut

BATCH = 500
#: Rates in bytes that are looked at after each pass of the tail, and at the end, best first.
WATCHED, REPORTED = (64, 256), (1024, 512, 256, 128, 64)
#: Images that the errors of the levels are measured on.
ERROR_IMAGES = 1_000


class Measure:
    """Figures on some images.

    Args:
        codec: :class:`semflash.codecs.multires.codec.Multires`.
        split: The images and labels.
    """

    def __init__(self, codec: Any, split: Split) -> None:
        self.codec, self.split = codec, split

    def error_of(self, coder: Any) -> float:
        """Mean squared error of a value, in units of 1/255 squared, over up to 1,000 images."""
        return float(_error(coder, self.codec.sizes.patch, self.split.images[:ERROR_IMAGES])) * 255**2

    def distort(self, train: Split) -> None:
        """Measure the error of each level on training images, and keep it with the codec's weights."""
        images, sizes = np.asarray(train.images[:ERROR_IMAGES]), self.codec.sizes
        values = cut(images, sizes.patch).reshape(len(images), sizes.patches, sizes.patch**2, -1) / 255
        shade = self.codec.shades(background(images))
        errors = [float(np.square(values - shade[:, None, None]).mean())]
        errors += [
            _error(self.codec.coder_of(level), sizes.patch, images)
            for level in range(1, len(sizes.level_bits))
        ]
        self.codec.measured.distortion.assign(np.asarray(errors, np.float32))

    def scores(self) -> np.ndarray:
        """Of the float student, float32 (N, patches)."""
        return np.concatenate([self.codec.scores(part) for part in self._parts()])

    def accuracy(self, rate: int) -> float:
        """Share of right labels of pictures at a rate in bytes."""
        right = []
        for start, images in zip(range(0, len(self.split), BATCH), self._parts(), strict=True):
            pictures = self.codec.pictures(images, self.codec.levels_for(images, rate))
            logits = ops.convert_to_numpy(self.codec.classifier(pictures, training=False))
            right.append(logits.argmax(axis=1) == self.split.labels[start : start + BATCH])
        return float(np.concatenate(right).mean())

    def watched(self) -> dict[str, float]:
        """After a pass of the tail."""
        return {f"val_{rate}_bytes": self.accuracy(rate) for rate in WATCHED}

    def results(self) -> dict[str, Any]:
        """``val_accuracy`` by rate in bytes, the highest first."""
        return {"val_accuracy": {str(rate): self.accuracy(rate) for rate in REPORTED}}

    def _parts(self) -> list[np.ndarray]:
        images = self.split.images
        return [np.asarray(images[start : start + BATCH]) for start in range(0, len(self.split), BATCH)]


def _error(coder: Any, side: int, images: Any) -> float:
    """Mean squared error of a value in [0, 1]."""
    total, count = 0.0, 0
    for start in range(0, len(images), BATCH):
        patches = cut(np.asarray(images[start : start + BATCH]), side).astype(np.float32) / np.float32(255)
        total += float(np.square(ops.convert_to_numpy(coder(patches)) - patches).sum(dtype=np.float64))
        count += patches.size
    return total / count
