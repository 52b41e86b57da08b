"""HARD_SWISH, x * relu6(x + 3) / 6, as a table of TFLite's 16-bit arithmetic.

Source: tensorflow/lite/micro/kernels/hard_swish_common.cc, internal/reference/hard_swish.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.fixed_point import divide_by_power
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import quantise_multiplier

_INT16_MIN, _INT16_MAX = -(1 << 15), (1 << 15) - 1


@dataclass(frozen=True)
class Factor:
    """real = multiplier / 2^15 * 2^exponent, the multiplier an int16."""

    multiplier: int
    exponent: int


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    with np.errstate(over="ignore", under="ignore"):
        fine = np.float32(1.0 / 128.0) * np.float32(source.scale)
        to_output = float(fine / np.float32(output.scale))
        to_reluish = float(fine / np.float32(3.0 / 32768.0))
    out, reluish = _factor(to_output), _factor(to_reluish)
    if out.exponent > 0:
        raise context.unsupported(op, "the output scale is too small for the input", output.scale)
    if out.exponent < -15 or not -15 <= reluish.exponent <= 15:
        raise context.unsupported(op, "the scales lie too far apart", (source.scale, output.scale))

    def function(value: int) -> int:
        fine_value = (value - source.zero_point) << 7
        gate = (_reluish(fine_value, reluish) + (1 << 15)) >> 1
        product = _double_high(gate, _rounding_double_high(fine_value, out.multiplier))
        return divide_by_power(product, -out.exponent) + output.zero_point

    return lookup_layer(context, op, function)


def _factor(real: float) -> Factor:
    """A factor whose multiplier is rounded to 16 bits."""
    multiplier, exponent = quantise_multiplier(real)
    return Factor(min((multiplier + (1 << 15)) >> 16, _INT16_MAX), exponent)


def _reluish(value: int, factor: Factor) -> int:
    """relu6(x + 3) / 6 * 2^15 - 2^14, doubled: shifted left as late as possible, and saturated."""
    if factor.exponent > 0:
        value = _saturate(value << (factor.exponent - 1))
    value = _rounding_double_high(value, factor.multiplier)
    if factor.exponent > 0:
        return _saturate(value << 1)
    return divide_by_power(value, -factor.exponent)


def _saturate(value: int) -> int:
    return min(max(value, _INT16_MIN), _INT16_MAX)


def _rounding_double_high(a: int, b: int) -> int:
    """a * b / 2^15 of int16 numbers to nearest, halves up."""
    return min((a * b + (1 << 14)) >> 15, _INT16_MAX)


def _double_high(a: int, b: int) -> int:
    """a * b / 2^15 of int16 numbers, cut off towards 0."""
    product = a * b
    return min(product >> 15 if product >= 0 else -(-product >> 15), _INT16_MAX)
