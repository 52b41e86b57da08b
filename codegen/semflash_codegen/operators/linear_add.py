"""ADD as one linear form of integers, where one gives TFLite's bytes for all 65,536 pairs of inputs.

    out + 128 = clamp((A x1 + B x2 + C) >> S)          x: code + 128

TFLite rounds three times; nearly always some A and B close to the scales' ratios, and a C, round to the same
bytes. They are searched and checked on every pair; where none is found, the general kernel stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_SHIFTS = range(24, 13, -1)
_TRIED_SHIFTS = 3
_RADIUS = 4
_FAR = 1 << 40


@dataclass(frozen=True)
class LinearAdd:
    """The integers, and the bounds of the byte."""

    a: int
    b: int
    c: int
    shift: int
    low: int
    high: int


def find_linear(expected: Ints, ratio_a: float, ratio_b: float, low: int, high: int) -> LinearAdd | None:
    """The first linear form that fits, or None.

    Args:
        expected: Bytes (code + 128) of TFLite's sum for inputs code + 128, (256, 256), within low..high.
        ratio_a: Scale of the first input to the output's.
        ratio_b: Likewise of the second.
    """
    shifts = [s for s in _SHIFTS if 255 * 1.2 * (ratio_a + ratio_b) * (1 << s) + (1 << (s + 9)) < 1 << 31]
    around = [(da, db) for da in range(-_RADIUS, _RADIUS + 1) for db in range(-_RADIUS, _RADIUS + 1)]
    for shift in shifts[:_TRIED_SHIFTS]:
        for da, db in sorted(around, key=lambda d: max(abs(d[0]), abs(d[1]))):
            a, b = round(ratio_a * (1 << shift)) + da, round(ratio_b * (1 << shift)) + db
            c = _offset(expected, a, b, shift, low, high)
            if c is not None:
                return LinearAdd(a, b, c, shift, low, high)
    return None


def requantised(values: Ints, multiplier: int, shift: int) -> Ints:
    """:func:`semflash_codegen.fixed_point.requantise` of an array; the shift is 0 or to the right."""
    high = (values * multiplier + (1 << 30)) >> 31
    mask = (1 << -shift) - 1
    rounded: Ints = (high >> -shift) + ((high & mask) > (mask >> 1) + (high < 0))
    return rounded


def _offset(expected: Ints, a: int, b: int, shift: int, low: int, high: int) -> int | None:
    """The middle of all C that fit, or None where none does or a sum leaves 31 bits."""
    codes = np.arange(256, dtype=np.int64)
    sums = a * codes[:, None] + b * codes[None, :]
    least = int(np.where(expected > low, (expected << shift) - sums, -_FAR).max())
    most = int(np.where(expected < high, ((expected + 1) << shift) - 1 - sums, _FAR).min())
    least, most = max(least, -_FAR // 2), min(most, _FAR // 2)
    if least > most:
        return None
    c = (least + most) // 2
    reach = max(abs(int(sums.min()) + c), abs(int(sums.max()) + c), abs(c))
    return c if reach < (1 << 31) - 1 and 255 * max(abs(a), abs(b)) + abs(c) < (1 << 31) - 1 else None
