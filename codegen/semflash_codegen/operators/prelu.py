"""PRELU with a constant alpha per channel (or per pixel and channel, or one).

Source: tensorflow/lite/micro/kernels/prelu_common.cc: one factor for values >= 0, one for value * alpha.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Array, Layer
from semflash_codegen.operators.broadcasting import image_of, strides_initialiser
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.quantise import INT32_MAX, quantise_multiplier

_PRODUCT_MAX = 255 * 255
_OUTPUT_ROOM = 512


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    alpha = context.int8(op, context.input(op, 1))
    if source.shape != output.shape:
        raise context.unsupported(op, "input and output must have one shape", (source.shape, output.shape))
    if alpha.data is None:
        raise context.unsupported(op, "alpha is not a constant")
    multiplier, shift = quantise_multiplier(source.scale / output.scale)
    alpha_multiplier, alpha_shift = quantise_multiplier(source.scale * alpha.scale / output.scale)
    largest = max(255 << max(shift, 0), _PRODUCT_MAX << max(alpha_shift, 0))
    if largest > INT32_MAX - _OUTPUT_ROOM:
        raise context.unsupported(op, "the output scale is too small for the input", output.scale)
    fields = (
        ("out", shape_initialiser(image_of(context, op, output))),
        ("strides", strides_initialiser(context, op, alpha, output)),
        ("input_zero_point", str(source.zero_point)),
        ("alpha_zero_point", str(alpha.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("multiplier", str(multiplier)),
        ("shift", str(shift)),
        ("alpha_multiplier", str(alpha_multiplier)),
        ("alpha_shift", str(alpha_shift)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose("PRELU", "sf_prelu", None),
        struct="sf_prelu_t",
        fields=fields,
        arrays=(Array("alpha", "int8_t", alpha.int8_values()),),
    )
