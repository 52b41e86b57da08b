"""Small data with masks, and a segmenter whose answer is plain to see."""

from __future__ import annotations

import contextlib

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.segments.base import Plan
from semflash.segments.manifest import SegmenterRecord

RECORD = SegmenterRecord("quarters", 1, classical=False, sha256="ab" * 32, settings={"by": 2})


def quarters(image: np.ndarray) -> np.ndarray:
    """Four segments of a quarter each, numbered by where they lie and by the first pixel: 0..3 plus 0..3."""
    height, width = image.shape[:2]
    rows, columns = np.arange(height)[:, None] * 2 // height, np.arange(width) * 2 // width
    return np.asarray(2 * rows + columns + image[0, 0, 0] % 4, np.uint8)


class Quarters:
    """A segmenter that counts how often it is asked."""

    record = RECORD

    def __init__(self, fails_after: int | None = None) -> None:
        self.asked, self.fails_after = 0, fails_after

    def segment(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        if self.asked == self.fails_after:
            raise KeyboardInterrupt
        self.asked += 1
        return quarters(image)

    @property
    def plan(self) -> Plan:
        return Plan(self.record, lambda: contextlib.nullcontext(self))


def masked_data(train: int = 40, side: int = 16, seed: int = 0) -> Dataset:
    """Random images of three classes with random masks; 8 validation and 6 test images."""
    rng = np.random.default_rng(seed)
    parts = []
    for count in (train, 8, 6):
        images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
        masks = rng.integers(0, 3, (count, side, side), np.uint8)
        parts.append(Split(images, rng.integers(0, 3, count).astype(np.int32), None, masks))
    train_part, val, test = parts
    return Dataset("masked", train_part, val, test, ("a", "b", "c"))
