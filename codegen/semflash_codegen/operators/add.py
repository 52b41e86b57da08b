"""ADD of two int8 tensors of one shape (no broadcasting).

Source: tensorflow/lite/micro/kernels/add_common.cc: both inputs are scaled to twice the larger input scale
with 20 bits of headroom, summed, and scaled to the output.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.quantise import activation_range, quantise_multiplier

_LEFT_SHIFT = 20


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    a, b, output = context.int8_input(op, 0), context.int8_input(op, 1), context.int8_output(op)
    if a.shape != b.shape or a.shape != output.shape:
        raise context.unsupported(
            op, "inputs and output must have one shape (no broadcasting)", (a.shape, b.shape)
        )
    twice_larger = 2.0 * max(a.scale, b.scale)
    real_output = twice_larger / ((1 << _LEFT_SHIFT) * output.scale)
    if real_output >= 1.0:
        raise context.unsupported(op, "the output scale is too small for the inputs", output.scale)
    act_min, act_max = activation_range(context.activation(op, 0), output, context.label(op))
    (mul_a, shift_a), (mul_b, shift_b) = (quantise_multiplier(t.scale / twice_larger) for t in (a, b))
    mul_out, shift_out = quantise_multiplier(real_output)
    fields = (
        ("size", str(output.elements)),
        ("zero_point_a", str(a.zero_point)),
        ("zero_point_b", str(b.zero_point)),
        ("output_zero_point", str(output.zero_point)),
        ("act_min", str(act_min)),
        ("act_max", str(act_max)),
        ("multiplier_a", str(mul_a)),
        ("shift_a", str(shift_a)),
        ("multiplier_b", str(mul_b)),
        ("shift_b", str(shift_b)),
        ("output_multiplier", str(mul_out)),
        ("output_shift", str(shift_out)),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=op.inputs[:2],
        output=op.outputs[0],
        kernel=context.choose("ADD", "sf_add", None),
        struct="sf_add_t",
        fields=fields,
    )
