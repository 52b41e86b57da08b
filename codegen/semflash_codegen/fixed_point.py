"""32-bit fixed-point arithmetic with gemmlowp's rounding, in Python integers: for computed tables.

Source: gemmlowp, fixedpoint/fixedpoint.h; tensorflow/lite/kernels/internal/common.h
(MultiplyByQuantizedMultiplier).
"""

from __future__ import annotations

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


def multiply_high(a: int, b: int) -> int:
    """a * b / 2^31 to nearest.

    >>> multiply_high(1 << 30, 1 << 30)
    536870912
    """
    return min((a * b + (1 << 30)) >> 31, _INT32_MAX)


def divide_by_power(value: int, exponent: int) -> int:
    """value / 2^exponent to nearest, halves away from zero.

    >>> divide_by_power(5, 1), divide_by_power(-5, 1), divide_by_power(-4, 1)
    (3, -3, -2)
    """
    half = (1 << exponent) >> 1
    return (value + half) >> exponent if value >= 0 else -((-value + half) >> exponent)


def shift_left(value: int, exponent: int) -> int:
    """value * 2^exponent, saturated to int32.

    >>> shift_left(3, 2), shift_left(-(1 << 30), 3)
    (12, -2147483648)
    """
    return min(max(value << exponent, _INT32_MIN), _INT32_MAX)


def requantise(value: int, multiplier: int, shift: int) -> int:
    """value * multiplier / 2^31 * 2^shift, rounded twice; value << shift must be an int32.

    >>> requantise(100, 1 << 30, 1), requantise(100, 1 << 30, -1)
    (100, 25)
    """
    return divide_by_power(multiply_high(value << max(shift, 0), multiplier), max(-shift, 0))
