"""Images for a board: made from a seed, so that a test bench needs no data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def made_images(count: int, shape: tuple[int, int, int], seed: int) -> NDArray[np.uint8]:
    """Black, white, smooth shades and noise in turn; every pixel value occurs.

    Args:
        count: How many.
        shape: Height, width, channels.

    Returns:
        uint8 (count, height, width, channels); the same seed gives the same images.
    """
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    coarse = rng.integers(0, 256, (count, height // 4 + 1, width // 4 + 1, channels), np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    noise = rng.integers(0, 256, (count, *shape), np.uint8)
    images[3::4] = noise[3::4]
    images[0:1], images[1:2] = 0, 255
    return np.ascontiguousarray(images)
