"""LEAKY_RELU with a slope of at least 0, as a table.

Source: tensorflow/lite/micro/kernels/leaky_relu_common.cc: both factors are computed in single precision.
"""

from __future__ import annotations

import struct

import numpy as np

from semflash_codegen.fixed_point import requantise
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier
from semflash_codegen.schema import Options

_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    bits = context.options(op, Options.LEAKY_RELU).integer(0, "<I")
    alpha = np.float32(struct.unpack("<f", struct.pack("<I", bits))[0])
    if not 0.0 <= alpha < np.inf:
        raise context.unsupported(op, "the slope must be 0 or more", float(alpha))
    scale_in, scale_out = np.float32(source.scale), np.float32(output.scale)
    with np.errstate(over="ignore", under="ignore"):
        positive = quantise_multiplier(float(scale_in / scale_out))
        negative = quantise_multiplier(float(scale_in * alpha / scale_out))
    if 255 << max(positive[1], negative[1], 0) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the output scale is too small for the input", output.scale)

    def function(value: int) -> int:
        x = value - source.zero_point
        return requantise(x, *(positive if x >= 0 else negative)) + output.zero_point

    return lookup_layer(context, op, function)
