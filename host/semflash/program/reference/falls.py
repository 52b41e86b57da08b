"""What each level takes off a patch's squared error (``device/stages/falls.c``), from its definition.

Real coefficients and the device's integers go the same way from :func:`slopes` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from semflash.program.patch_stages import FALL_MAX, FALL_SHIFT, Coder, Falls
from semflash.program.reference.patches import sums_of

_HALF = 1 << (FALL_SHIFT - 1)
_FALL_LIMIT = (1 << 31) - 1


def falls(stage: Falls, coders: Sequence[Coder], values: NDArray[np.int16]) -> NDArray[np.int64]:
    """How much each level from 1 on lowers the squared error of M patches, int64 (M, levels - 1), in
    sixteenths of a squared pixel value; may be negative.

    Args:
        coders: Of the levels.
        values: Of the patches, less the background, (M, side * side * C).
    """
    sums = sums_of(coders[-1], values)
    sizes = (sums * np.array(stage.scales, np.int64) + _HALF) >> FALL_SHIFT
    sizes = np.clip(sizes, -FALL_MAX, FALL_MAX)
    found = np.zeros((len(values), len(coders)), np.int64)
    for level, (coder, picks, centres) in enumerate(zip(coders, stage.picks, stage.centres, strict=True)):
        steps = [0, *accumulate((1 << bits) - 1 for bits in coder.bits)]
        for number, (bits, pick) in enumerate(zip(coder.bits, picks, strict=True)):
            thresholds = np.array(coder.thresholds[steps[number] : steps[number + 1]], np.int64)
            codes = np.searchsorted(thresholds, sums[:, pick], side="right")
            first = steps[number] + number
            centre = np.array(centres[first : first + (1 << bits)], np.int64)[codes]
            found[:, level] += centre * (2 * sizes[:, pick] - centre)
    return np.clip(found, -_FALL_LIMIT, _FALL_LIMIT)


def slopes(found: NDArray[np.int64], level_bits: Sequence[int]) -> NDArray[np.int64]:
    """What raising a patch to each level is worth for a bit, int64 (..., levels - 1), not negative and not
    rising: the slopes of the least concave line above the falls, rounded down.

    Args:
        found: Falls of the levels from 1 on, (..., levels - 1).
        level_bits: Of each level, rising.
    """
    points = np.concatenate([np.zeros((*found.shape[:-1], 1), np.int64), found], axis=-1)
    steps = found.shape[-1]
    worth = np.full(found.shape, _FALL_LIMIT, np.int64)
    for start in range(steps):
        steepest = np.zeros(found.shape[:-1], np.int64)
        for end in range(steps - 1, start - 1, -1):
            rise = np.maximum(points[..., end + 1] - points[..., start], 0)
            steepest = np.maximum(steepest, rise // (level_bits[end + 1] - level_bits[start]))
            worth[..., end] = np.minimum(worth[..., end], steepest)
    return worth
