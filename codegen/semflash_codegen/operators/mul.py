"""MUL of two int8 tensors, or of one and a constant; either may be broadcast. One constant for all: a table.

Source: tensorflow/lite/micro/kernels/mul_common.cc: one factor,
double(scale a) * double(scale b) / double(scale out).
"""

from __future__ import annotations

from semflash_codegen.fixed_point import requantise
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Array, Layer
from semflash_codegen.operators.broadcasting import broadcast_shape, image_of, strides_initialiser
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import INT32_MAX, activation_range, quantise_multiplier
from semflash_codegen.schema import Options

_PRODUCT_MAX = 255 * 255
_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    a, b = (context.int8(op, context.input(op, i)) for i in (0, 1))
    output = context.int8_output(op)
    if a.data is not None:
        a, b = b, a
    if a.data is not None:
        raise context.unsupported(op, "both inputs are constants")
    broadcast_shape(context, op, a, b, output)
    multiplier, shift = quantise_multiplier(a.scale * b.scale / output.scale)
    if _PRODUCT_MAX << max(shift, 0) > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the output scale is too small for the inputs", output.scale)
    context.options(op, Options.MUL)
    act_min, act_max = activation_range(context.activation(op, 0), output, context.label(op))
    if b.data is not None and b.elements == 1:
        factor = int(b.int8_values().reshape(-1)[0]) - b.zero_point

        def function(value: int) -> int:
            product = requantise((value - a.zero_point) * factor, multiplier, shift)
            return min(max(product + output.zero_point, act_min), act_max)

        return lookup_layer(context, op, function, source=a)
    fields = (
        ("out", shape_initialiser(image_of(context, op, output))),
        ("strides_a", strides_initialiser(context, op, a, output)),
        ("strides_b", strides_initialiser(context, op, b, output)),
        ("zero_point_a", str(a.zero_point)),
        ("zero_point_b", str(b.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("act_min", str(act_min)),
        ("act_max", str(act_max)),
        ("multiplier", str(multiplier)),
        ("shift", str(shift)),
    )
    constant = b.data is not None
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(a.index,) if constant else (a.index, b.index),
        output=op.outputs[0],
        kernel=context.choose("MUL", "sf_mul_constant" if constant else "sf_mul", None),
        struct="sf_mul_t",
        fields=fields,
        arrays=(Array("constant", "int8_t", b.int8_values()),) if constant else (),
    )
