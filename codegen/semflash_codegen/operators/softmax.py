"""SOFTMAX over the last dimension, in fixed point.

Source: tensorflow/lite/micro/kernels/softmax_common.cc and quantization_util.cc (PreprocessSoftmaxScaling,
CalculateInputRadius): differences of inputs become Q5 numbers; those below difference_min count as nothing.
"""

from __future__ import annotations

import struct
from math import floor, isfinite

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier
from semflash_codegen.schema import Options

_INTEGER_BITS = 5
_FRACTION_BITS = 31 - _INTEGER_BITS
_DEPTH_MAX = 4095  # the sum of exponentials has 12 integer bits


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    if source.shape != output.shape or not source.shape:
        raise context.unsupported(op, "input and output must have one shape", (source.shape, output.shape))
    if (output.scale, output.zero_point) != (1.0 / 256.0, -128):
        raise context.unsupported(
            op, "the output must have scale 1/256 and zero point -128", (output.scale, output.zero_point)
        )
    depth = source.shape[-1]
    if depth > _DEPTH_MAX:
        raise context.unsupported(op, f"more than {_DEPTH_MAX} values", depth)
    multiplier, left_shift, difference_min = _scaling(context, op, source.scale)
    fields = (
        ("rows", str(source.elements // depth)),
        ("depth", str(depth)),
        ("multiplier", str(multiplier)),
        ("left_shift", str(left_shift)),
        ("difference_min", str(difference_min)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose("SOFTMAX", "sf_softmax", None),
        struct="sf_softmax_t",
        fields=fields,
    )


def _scaling(context: Context, op: Operator, scale: float) -> tuple[int, int, int]:
    """(multiplier, left shift, smallest difference that counts)."""
    bits = context.options(op, Options.SOFTMAX).integer(0, "<I")
    beta: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    if not isfinite(beta) or beta <= 0.0:
        raise context.unsupported(op, "beta must be positive", beta)
    real = min(beta * scale * (1 << _FRACTION_BITS), float(INT32_MAX))
    if real <= 1.0:
        raise context.unsupported(op, "beta times the input scale is too small", beta * scale)
    if real >= 1 << 30:
        return 0, 0, 0  # only the largest input counts, whatever the factor
    multiplier, left_shift = quantise_multiplier(real)
    difference_min = -floor(((1 << _INTEGER_BITS) - 1) * (1 << _FRACTION_BITS) / (1 << left_shift))
    return multiplier, left_shift, difference_min
