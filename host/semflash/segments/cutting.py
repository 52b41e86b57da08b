"""Segments cut out of their images, as attention looks at them, and images weighed by their segments."""

from __future__ import annotations

from typing import Literal

import numpy as np

from semflash.errors import SegmentError
from semflash.segments.evidence import largest
from semflash.segments.importance import BLOCK, blocks_of, weighted

Background = Literal["black", "blur", "keep"]
#: Side of a cut-out, pixels.
SIDE = 16


def cut_out(images: np.ndarray, maps: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest segments of each image, each cut out of the whole image, small.

    Args:
        images: uint8 (n, H, W, 1 or 3).
        maps: uint8 (n, H, W).
        most: segments of an image.

    Returns:
        uint8 (n, most, 16, 16, 4): colours, black outside of the segment, and the share of each pixel that
        belongs to it, 0..255; the largest segment first, nothing where there are fewer.
        int64 (n, most): the segments' numbers, -1 where there is none.
    """
    found = np.zeros((len(images), most, SIDE, SIDE, 4), np.uint8)
    numbers = np.full((len(images), most), -1, np.int64)
    for index, (image, one) in enumerate(zip(images, maps, strict=True)):
        colour = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
        there = largest(one, most)
        numbers[index, : len(there)] = there
        masks = one == there[:, None, None]
        planes = np.concatenate([masks[..., None] * colour, masks[..., None] * np.uint8(255)], 3)
        found[index, : len(there)] = _shrunk(planes)
    return found, numbers


def _shrunk(planes: np.ndarray) -> np.ndarray:
    """Mean over the pixels that fall into each of 16x16 cells, uint8; cells of a smaller image repeat pixels.

    Args:
        planes: (n, H, W, C).
    """
    for axis in (1, 2):
        length = planes.shape[axis]
        starts = np.arange(SIDE) * length // SIDE
        ends = np.maximum((np.arange(SIDE) + 1) * length // SIDE, starts + 1)
        sums = np.concatenate(
            [np.zeros_like(planes.take([0], axis), np.int64), planes.cumsum(axis, dtype=np.int64)], axis
        )
        counts = (ends - starts).reshape(-1, *(1,) * (planes.ndim - 1 - axis))
        planes = (sums.take(ends, axis) - sums.take(starts, axis)) / counts
        planes = planes.round().astype(np.int64)
    return planes.astype(np.uint8)


def aware(
    images: np.ndarray, maps: np.ndarray, weights: np.ndarray, background: Background = "blur"
) -> np.ndarray:
    """Semantic-aware images: weights times the image, what is missing to 1 filled by a background.

    Args:
        images: uint8 (n, H, W, C).
        maps: uint8 (n, H, W).
        weights: float (n, 64), 0 to 1; a pixel has the weight of its segment.
        background: ``black``; ``blur``, the mean of each block of 8x8; ``keep``, the image itself.

    Returns:
        uint8 (n, H, W, C), rounded.
    """
    share = weighted(maps, weights.astype(np.float32))[..., None]
    if background == "keep":
        return images.copy()
    if background not in ("black", "blur"):
        raise SegmentError("a background is black, blur or keep", value=background)
    behind = blurred(images) if background == "blur" else np.float32(0)
    return np.asarray((share * images + (1 - share) * behind).round(), np.uint8)


def blurred(images: np.ndarray) -> np.ndarray:
    """Images whose blocks of 8x8 are of one colour, float32 (n, H, W, C)."""
    height, width = images.shape[1:3]
    planes = [
        blocks_of(images[..., channel]).repeat(BLOCK, 1).repeat(BLOCK, 2)[:, :height, :width]
        for channel in range(images.shape[3])
    ]
    return np.stack(planes, -1)
