"""LOGISTIC and TANH, as tables of gemmlowp's fixed-point functions.

Source: tensorflow/lite/micro/kernels/logistic_common.cc and tanh.cc, quantization_util.cc
(CalculateInputRadius), internal/reference/integer_ops/logistic.h and tanh.h. LiteRT computes its tables in
floating point, which differs by one step here and there: TFLite-Micro is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor

from semflash_codegen import fixed_point
from semflash_codegen.fixed_point import divide_by_power, requantise
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import INT8_MAX, INT8_MIN, quantise_multiplier

_INTEGER_BITS = 4
_FRACTION_BITS = 31 - _INTEGER_BITS


def lower_logistic(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table; the output's scale is 1/256, its zero point -128."""
    return _lower(context, op, fixed_point.logistic, 8, INT8_MIN)


def lower_tanh(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table; the output's scale is 1/128, its zero point 0."""
    return _lower(context, op, fixed_point.tanh, 7, 0)


def _lower(
    context: Context, op: Operator, curve: Callable[[int, int], int], output_bits: int, zero_point: int
) -> Layer:
    source, output = context.int8_input(op, 0), context.int8_output(op)
    if (output.scale, output.zero_point) != (1.0 / (1 << output_bits), zero_point):
        raise context.unsupported(
            op,
            f"the output must have scale 1/{1 << output_bits} and zero point {zero_point}",
            (output.scale, output.zero_point),
        )
    real = source.scale * (1 << _FRACTION_BITS)
    if not 1.0 < real < float(1 << 30):
        raise context.unsupported(op, "the input scale is too small or too large", source.scale)
    multiplier, shift = quantise_multiplier(real)
    radius = floor(((1 << _INTEGER_BITS) - 1) * (1 << _FRACTION_BITS) / (1 << shift))

    def function(value: int) -> int:
        x = value - source.zero_point
        if abs(x) >= radius:
            return INT8_MAX if x > 0 else INT8_MIN
        result = curve(requantise(x, multiplier, shift), _INTEGER_BITS)
        return divide_by_power(result, 31 - output_bits) + zero_point

    return lookup_layer(context, op, function)
