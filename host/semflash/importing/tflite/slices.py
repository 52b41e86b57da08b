"""How a .tflite graph takes parts of tensors (STRIDED_SLICE, SLICE, SPLIT, SPLIT_V), as Python's slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semflash.errors import TrainingError

#: (start, stop, step) of each axis behind the batch.
Slices = list[tuple[int | None, int | None, int | None]]
_WHOLE = (None, None, None)


def strided_slice(options: Any, begin: Any, end: Any, strides: Any, label: str) -> Slices:
    """Of a STRIDED_SLICE; axes that it drops keep a length of 1.

    Raises:
        TrainingError: it cuts the batch, or uses an ellipsis or new axes.
    """
    if options.ellipsisMask or options.newAxisMask:
        raise TrainingError("a slice with an ellipsis or new axes has no Keras layer", value=label)
    found: Slices = []
    for axis, (low, high, step) in enumerate(zip(*(v.tolist() for v in (begin, end, strides)), strict=True)):
        bit = 1 << axis
        start = None if options.beginMask & bit else low
        stop = None if options.endMask & bit else high
        if options.shrinkAxisMask & bit:
            start, stop, step = low, low + 1 or None, 1
        found.append((start, stop, step))
    if found[0] not in ((None, None, 1), (0, None, 1), (0, 1, 1), (None, 1, 1)):
        raise TrainingError("a slice takes a part of the batch", value=label)
    return found[1:]


def plain_slice(begin: np.ndarray, size: np.ndarray, label: str) -> Slices:
    """Of a SLICE; a size of -1 reaches to the end. TrainingError: it moves along the batch."""
    if begin[0] != 0:
        raise TrainingError("a slice takes a part of the batch", value=label)
    pairs = zip(begin[1:].tolist(), size[1:].tolist(), strict=True)
    return [(low, None if length < 0 else low + length, 1) for low, length in pairs]


def split_slices(axis: int, sizes: Sequence[int], rank: int, label: str) -> list[Slices]:
    """One for each output of a SPLIT or SPLIT_V along ``axis``. TrainingError: it splits the batch."""
    axis %= rank
    if axis == 0:
        raise TrainingError("a SPLIT splits the batch", value=label)
    stops = np.cumsum(sizes).tolist()
    starts = [0, *stops[:-1]]
    parts = []
    for start, stop in zip(starts, stops, strict=True):
        slices: Slices = [_WHOLE] * (rank - 1)
        slices[axis - 1] = (start, stop, 1)
        parts.append(slices)
    return parts


def enlargement(
    sides: Sequence[int], size: Sequence[int], align_corners: bool, label: str
) -> tuple[int, int]:
    """By how much a RESIZE_NEAREST_NEIGHBOR repeats rows and columns.

    Raises:
        TrainingError: it is no repetition.
    """
    (rows, columns), (height, width) = sides, size
    if height % rows or width % columns or align_corners:
        raise TrainingError(
            "only an enlargement by whole numbers has a Keras layer",
            value=f"{label}: {rows}x{columns} to {height}x{width}",
        )
    return int(height // rows), int(width // columns)
