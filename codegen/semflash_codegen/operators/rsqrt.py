"""RSQRT: 1 / sqrt(x) for x > 0, as a table. A value below the zero point ends the image, as in TFLite-Micro.

Source: tensorflow/lite/micro/kernels/elementwise.cc (RsqrtEvalQuantized) and internal/common.h
(GetInvSqrtQuantizedMultiplierExp): Newton and Raphson, five steps with three integer bits.
"""

from __future__ import annotations

import numpy as np

from semflash_codegen.fixed_point import divide_by_power, multiply_high, requantise, shift_left
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import INT8_MAX, INT32_MAX, quantise_multiplier

_SHIFT = 20
_HALF_THREE = (1 << 28) + (1 << 27)  # 3/2 with three integer bits
_HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 with none


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    with np.errstate(under="ignore", over="ignore"):
        product = float(np.sqrt(np.float32(source.scale)) * np.float32(output.scale))
    if not 0.0 < product < float("inf"):
        raise context.unsupported(op, "the scales are too small or too large", (source.scale, output.scale))
    multiplier, shift = quantise_multiplier(1.0 / product)
    if shift - _SHIFT < -31 or (1 << _SHIFT) << max(shift - _SHIFT, 0) > INT32_MAX:
        raise context.unsupported(op, "the scales do not fit", (source.scale, output.scale))

    def function(value: int) -> int:
        x = value - source.zero_point
        if x == 0:
            return INT8_MAX
        factor, right = inverse_sqrt(x)
        data = requantise(1, factor, _SHIFT - right)
        return requantise(data, multiplier, shift - _SHIFT) + output.zero_point

    return lookup_layer(context, op, function, lowest=source.zero_point)


def inverse_sqrt(value: int) -> tuple[int, int]:
    """(multiplier, right shift) with 1 / sqrt(value) = multiplier / 2^31 / 2^right; 1 <= value < 2^27."""
    if value == 1:
        return INT32_MAX, 0
    pairs = (31 - value.bit_length()) // 2 - 1
    right = 11 - pairs
    number = (value << 2 * pairs) >> 1
    half = divide_by_power(number, 1)
    x = 1 << 28
    for _ in range(5):
        cube = shift_left(multiply_high(multiply_high(x, x), x), 6)
        x = shift_left(multiply_high(_HALF_THREE, x) - multiply_high(half, cube), 3)
    x = multiply_high(x, _HALF_SQRT_2)
    return (x << -right, 0) if right < 0 else (x, right)
