"""Importance of blocks as the data set's exact masks have it: the labelled object, by its share."""

from __future__ import annotations

import numpy as np

from semflash.data.dataset import TARGET, Split
from semflash.errors import UsageError

_WHOLE = 255


def exact_importance(split: Split, grid: tuple[int, int]) -> np.ndarray:
    """Share of each block that the labelled object covers, float32 (N, rows, columns).

    Raises:
        UsageError: The split has no masks.
    """
    if split.masks is not None:
        return shares(np.asarray(split.masks) == TARGET, grid)
    if split.cover is None or split.cover.shape[1:] != grid:
        raise UsageError(
            "the student learns importance, and this data set has no masks",
            remedy="dataset=stamps-focus, or segments of the images",
        )
    return split.cover.astype(np.float32) / np.float32(_WHOLE)


def shares(inside: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Share of each block that is inside, float32 (N, rows, columns), of bool (N, H, W)."""
    count, height, width = inside.shape
    rows, columns = grid
    parts = inside.reshape(count, rows, height // rows, columns, width // columns)
    return np.asarray(parts.mean(axis=(2, 4), dtype=np.float64), np.float32)
