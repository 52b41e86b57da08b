"""QUANTIZE from int8 to int8: another scale and zero point, as a table.

Source: tensorflow/lite/micro/kernels/quantize.cc and internal/reference/requantize.h. (QUANTIZE from float
at the beginning of a model is dropped before: simplify.py.)
"""

from __future__ import annotations

from semflash_codegen.fixed_point import requantise
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier

_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and compute its table."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    multiplier, shift = quantise_multiplier(source.scale / output.scale)
    if 255 << max(shift, 0) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the output scale is too small for the input", output.scale)

    def function(value: int) -> int:
        return requantise(value - source.zero_point, multiplier, shift) + output.zero_point

    return lookup_layer(context, op, function)
