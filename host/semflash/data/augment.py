"""Augmentation of image batches in plain numpy; one generator drives it, so a resumed run repeats itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image.

    Attributes:
        flip: share of images mirrored left to right, 0..1.
        shift_px: largest shift in each direction, pixels; what comes in is 0 (black).
        erase: share of images with one rectangle overwritten by one random grey value, 0..1.
        erase_max_side: largest side of that rectangle as a share of the image side, 0..1.
        crop_area: smallest share of the area that a random crop keeps before it is resized to the image's
            size,
            0..1; 1: no crop. Only in the tf.data pipeline (:mod:`semflash.training.tf_batches`).
        gain: largest change of each channel's gain, a share: 0.15 is 0.85 to 1.15. Only in the numpy pipeline.
    """

    flip: float = 0.5
    shift_px: int = 2
    erase: float = 0.0
    erase_max_side: float = 0.4
    crop_area: float = 1.0
    gain: float = 0.0


NO_AUGMENTATION = Augmentation(flip=0.0, shift_px=0, erase=0.0)


@dataclass(frozen=True)
class Moves:
    """How the images of a batch were moved, for maps that must follow them.

    Attributes:
        mirrored: bool (B,).
        down: How far the content moves down in pixels, int (B,), -shift_px to shift_px.
        right: How far it moves to the right in pixels, int (B,), -shift_px to shift_px.
    """

    mirrored: np.ndarray
    down: np.ndarray
    right: np.ndarray

    @classmethod
    def none(cls, count: int) -> Moves:
        """Of a batch of images left as they are."""
        return cls(np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros(count, np.int64))


def augment(images: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Return float32 images in [0, 1], shape (B, H, W, C), from uint8 images of the same shape."""
    return augment_and_tell(images, how, rng)[0]


def augment_and_tell(
    images: np.ndarray, how: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, Moves]:
    """As :func:`augment`, and how each image was moved."""
    if how.crop_area < 1:
        raise UsageError(
            "random crops are made by tf.data only", value=how.crop_area, remedy='pipeline="tf.data"'
        )
    batch = images.copy()
    mirrored = rng.random(len(batch)) < how.flip
    batch[mirrored] = batch[mirrored, :, ::-1]
    down = right = np.zeros(len(batch), np.int64)
    if how.shift_px:
        top, left = rng.integers(0, 2 * how.shift_px + 1, (2, len(batch)))
        batch = _shift(batch, how.shift_px, top, left)
        down, right = how.shift_px - top, how.shift_px - left
    if how.gain:
        gains = rng.uniform(1 - how.gain, 1 + how.gain, (len(batch), 1, 1, batch.shape[3]))
        batch = np.minimum(batch * gains + 0.5, 255.0).astype(np.uint8)
    if how.erase:
        _erase(batch, how, rng)
    return batch.astype(np.float32) / np.float32(255.0), Moves(mirrored, down, right)


def _shift(batch: np.ndarray, most: int, top: np.ndarray, left: np.ndarray) -> np.ndarray:
    count, height, width, _ = batch.shape
    padded = np.pad(batch, ((0, 0), (most, most), (most, most), (0, 0)))
    rows = (top[:, None] + np.arange(height))[:, :, None]
    columns = (left[:, None] + np.arange(width))[:, None, :]
    shifted: np.ndarray = padded[np.arange(count)[:, None, None], rows, columns]
    return shifted


def move_maps(maps: np.ndarray, moves: Moves, image_size: tuple[int, int]) -> np.ndarray:
    """Maps of a smaller grid, moved as their images were.

    Args:
        maps: float (B, h, w), one value per grid cell of the image.
        image_size: height and width of the images in pixels, H >= h; a shift of H / h pixels is one cell,
            parts of a cell are interpolated linearly, and what comes in is 0.

    Returns:
        float32 (B, h, w).
    """
    out = maps.astype(np.float32)
    out[moves.mirrored] = out[moves.mirrored, :, ::-1]
    for axis, (pixels, size) in enumerate(zip((moves.down, moves.right), image_size, strict=True), start=1):
        if pixels.any():
            out = _shift_cells(out, pixels * out.shape[axis] / size, axis)
    return out


def _shift_cells(maps: np.ndarray, cells: np.ndarray, axis: int) -> np.ndarray:
    """Shift by fractions of cells: sums of two whole shifts."""
    whole = np.floor(cells).astype(np.int64)
    share = (cells - whole).astype(np.float32)[:, None, None]
    most = int(np.abs(whole).max()) + 1
    padding = [(0, 0)] * 3
    padding[axis] = (most, most)
    padded = np.moveaxis(np.pad(maps, padding), axis, 1)
    rows = np.arange(maps.shape[axis])[None] + most - whole[:, None]
    which = np.arange(len(maps))[:, None]
    moved = (1 - share) * padded[which, rows] + share * padded[which, rows - 1]
    result: np.ndarray = np.moveaxis(moved, 1, axis)
    return result


def _erase(batch: np.ndarray, how: Augmentation, rng: np.random.Generator) -> None:
    count, height, width, _ = batch.shape
    most = (max(1, int(height * how.erase_max_side)), max(1, int(width * how.erase_max_side)))
    for index in np.flatnonzero(rng.random(count) < how.erase):
        tall, wide = int(rng.integers(1, most[0] + 1)), int(rng.integers(1, most[1] + 1))
        top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
        batch[index, top : top + tall, left : left + wide] = rng.integers(0, 256)
