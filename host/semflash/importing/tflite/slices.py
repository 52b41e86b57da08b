"""How a .tflite graph takes parts of tensors (STRIDED_SLICE, SLICE, SPLIT, SPLIT_V), as Python's slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semflash.errors import TrainingError
from semflash_codegen.ir import Operator
from semflash_codegen.options import option

#: (start, stop, step) of each axis behind the batch.
Slices = list[tuple[int | None, int | None, int | None]]
_WHOLE = (None, None, None)


@dataclass(frozen=True)
class Masks:
    """Bits of a STRIDED_SLICE, one for each axis, the lowest for the first.

    Attributes:
        begin: The axis is taken from its start, whatever the begin says.
        end: The axis is taken to its end, whatever the end says.
        ellipsis: Here stand as many whole axes as are missing.
        new_axis: Here stands an axis of length 1 that the input does not have.
        shrink_axis: One entry is taken, and the axis dropped.
    """

    begin: int = 0
    end: int = 0
    ellipsis: int = 0
    new_axis: int = 0
    shrink_axis: int = 0

    @classmethod
    def of(cls, operator: Operator) -> Masks:
        """The masks of an operator. MalformedModelError: it has none."""
        names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        return cls(*(option(operator, name) for name in names))


def strided_slice(masks: Masks, bounds: tuple[np.ndarray, np.ndarray, np.ndarray], label: str) -> Slices:
    """Of a STRIDED_SLICE; axes that it drops keep a length of 1.

    Args:
        bounds: Begin, end and stride of every axis.
        label: Name of the result, for errors.

    Raises:
        TrainingError: it cuts the batch, or uses an ellipsis or new axes.
    """
    if masks.ellipsis or masks.new_axis:
        raise TrainingError("a slice with an ellipsis or new axes has no Keras layer", value=label)
    found: Slices = []
    for axis, (low, high, step) in enumerate(zip(*(v.tolist() for v in bounds), strict=True)):
        bit = 1 << axis
        start = None if masks.begin & bit else low
        stop = None if masks.end & bit else high
        if masks.shrink_axis & bit:
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
