"""RELU and RELU6 as layers of their own.

Source: tensorflow/lite/micro/kernels/activations_common.cc. RELU requantises. TFLite-Micro's int8 RELU6 only
clamps, LiteRT's requantises: RELU6 is taken only where input and output have one quantisation.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import INT32_MAX, activation_range, quantise_multiplier
from semflash_codegen.schema import Activation


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    if source.shape != output.shape:
        raise context.unsupported(op, "input and output must have one shape", (source.shape, output.shape))
    same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
    if op.name == "RELU6" and not same:
        raise context.unsupported(
            op, "input and output must have one scale and zero point (TFLite-Micro and LiteRT disagree)"
        )
    activation = Activation.RELU6 if op.name == "RELU6" else Activation.RELU
    act_min, act_max = activation_range(activation, output, context.label(op))
    multiplier, shift = quantise_multiplier(source.scale / output.scale)
    if 255 << max(shift, 0) > INT32_MAX - 512:
        raise context.unsupported(op, "the output scale is too small for the input", output.scale)
    fields = (
        ("size", str(output.elements)),
        ("input_zero_point", str(source.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("act_min", str(act_min)),
        ("act_max", str(act_max)),
        ("multiplier", str(multiplier)),
        ("shift", str(shift)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(op.inputs[0],),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_clamp", None),
        struct="sf_clamp_t",
        fields=fields,
    )
