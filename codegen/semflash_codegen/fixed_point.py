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


_ONE = _INT32_MAX
_EXP_MINUS_EIGHTH, _ONE_THIRD = 1895147668, 715827883
#: exp(-1/4), exp(-1/2), exp(-1), ... exp(-16) as Q0.
_EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_negative(x: int, integer_bits: int) -> int:
    """exp(x) as Q0 for x <= 0 as a number with `integer_bits` integer bits, at most 5.

    Source: gemmlowp's exp_on_negative_values: the last quarter by a series, the rest one factor per bit.

    >>> round(exp_negative(-(1 << 27), 4) / 2**31, 5)
    0.36788
    """
    if x == 0:
        return _ONE
    quarter = 1 << (31 - integer_bits - 2)
    rest = (x & (quarter - 1)) - quarter
    quarters, result = rest - x, _exp_quarter(shift_left(rest, integer_bits))
    for i, factor in enumerate(_EXP_FACTORS[: integer_bits + 2]):
        if quarters & (quarter << i):
            result = multiply_high(result, factor)
    return result


def _exp_quarter(x: int) -> int:
    """exp(x) as Q0 for x in [-1/4, 0) as Q0: Taylor's series around -1/8."""
    t = x + (1 << 28)
    t2 = multiply_high(t, t)
    t3, t4 = multiply_high(t2, t), multiply_high(t2, t2)
    thirds = multiply_high(divide_by_power(t4, 2) + t3, _ONE_THIRD)
    return _EXP_MINUS_EIGHTH + multiply_high(_EXP_MINUS_EIGHTH, t + divide_by_power(thirds + t2, 1))


def _reciprocal(x: int) -> int:
    """2 / (1 + x) as Q2 for x in [0, 1) as Q0: Newton and Raphson's division, three steps."""
    half = (x + _ONE + 1) // 2
    y = 1515870810 + multiply_high(half, -1010580540)  # 48/17 - 32/17 half
    for _ in range(3):
        y += shift_left(multiply_high(y, (1 << 29) - multiply_high(half, y)), 2)
    return y


def logistic(x: int, integer_bits: int) -> int:
    """1 / (1 + exp(-x)) as Q0. Source: gemmlowp's logistic.

    >>> logistic(0, 4) == 1 << 30, round(logistic(1 << 27, 4) / 2**31, 6)
    (True, 0.731059)
    """
    if x == 0:
        return 1 << 30
    positive = shift_left(_reciprocal(exp_negative(-abs(x), integer_bits)), 1)
    return positive if x > 0 else _ONE - positive


def tanh(x: int, integer_bits: int) -> int:
    """The hyperbolic tangent as Q0; |x| is doubled, and saturates. Source: gemmlowp's tanh.

    >>> tanh(0, 4), round(tanh(-(1 << 27), 4) / 2**31, 6)
    (0, -0.761594)
    """
    if x == 0:
        return 0
    y = _reciprocal(exp_negative(shift_left(-abs(x), 1), integer_bits))
    positive = shift_left(y - (1 << 29), 2)
    return positive if x > 0 else -positive
