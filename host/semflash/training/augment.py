"""Augmentation of image batches in plain numpy; one generator drives it, so a resumed run repeats itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image.

    Attributes:
        flip: share of images mirrored left to right, 0..1.
        shift_px: largest shift in each direction, pixels; what comes in is 0 (black).
        erase: share of images with one rectangle overwritten by one random grey value, 0..1.
        erase_max_side: largest side of that rectangle as a share of the image side, 0..1.
    """

    flip: float = 0.5
    shift_px: int = 2
    erase: float = 0.0
    erase_max_side: float = 0.4


NO_AUGMENTATION = Augmentation(flip=0.0, shift_px=0, erase=0.0)


def augment(images: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Return float32 images in [0, 1], shape (B, H, W, C), from uint8 images of the same shape."""
    batch = images.copy()
    mirrored = rng.random(len(batch)) < how.flip
    batch[mirrored] = batch[mirrored, :, ::-1]
    if how.shift_px:
        batch = _shift(batch, how.shift_px, rng)
    if how.erase:
        _erase(batch, how, rng)
    return batch.astype(np.float32) / np.float32(255.0)


def _shift(batch: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    count, height, width, _ = batch.shape
    padded = np.pad(batch, ((0, 0), (most, most), (most, most), (0, 0)))
    top, left = rng.integers(0, 2 * most + 1, (2, count))
    rows = (top[:, None] + np.arange(height))[:, :, None]
    columns = (left[:, None] + np.arange(width))[:, None, :]
    shifted: np.ndarray = padded[np.arange(count)[:, None, None], rows, columns]
    return shifted


def _erase(batch: np.ndarray, how: Augmentation, rng: np.random.Generator) -> None:
    count, height, width, _ = batch.shape
    most = (max(1, int(height * how.erase_max_side)), max(1, int(width * how.erase_max_side)))
    for index in np.flatnonzero(rng.random(count) < how.erase):
        tall, wide = int(rng.integers(1, most[0] + 1)), int(rng.integers(1, most[1] + 1))
        top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
        batch[index, top : top + tall, left : left + wide] = rng.integers(0, 256)
