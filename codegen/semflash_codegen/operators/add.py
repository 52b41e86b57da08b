"""ADD of two int8 tensors of one shape (no broadcasting).

Source: tensorflow/lite/micro/kernels/add_common.cc: both inputs are scaled to twice the larger input scale
with 20 bits of headroom, summed, and scaled to the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import AUTO, MIXED, Kernel, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.linear_add import Ints, LinearAdd, find_linear
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
    if context.kernels == AUTO:
        scaled_a = Scaled(a.zero_point, mul_a, shift_a)
        scaled_b = Scaled(b.zero_point, mul_b, shift_b)
        expected = _bytes(scaled_a, scaled_b, Scaled(output.zero_point, mul_out, shift_out), act_min, act_max)
        ratios = (a.scale / output.scale, b.scale / output.scale)
        form = find_linear(expected, *ratios, act_min + 128, act_max + 128)
        if form is not None:
            return _linear(op, output, form)
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


@dataclass(frozen=True)
class Scaled:
    """Zero point, multiplier and shift of one tensor of the sum."""

    zero_point: int
    multiplier: int
    shift: int


def _requantised(values: Ints, scaled: Scaled) -> Ints:
    """MultiplyByQuantizedMultiplier, double rounding; the shift is 0 or to the right."""
    high = (values * scaled.multiplier + (1 << 30)) >> 31
    right = -scaled.shift
    mask = (1 << right) - 1
    rounded: Ints = (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))
    return rounded


def _bytes(a: Scaled, b: Scaled, output: Scaled, low: int, high: int) -> Ints:
    """TFLite's sum of all pairs of codes, as code + 128: (256, 256)."""
    codes = np.arange(-128, 128, dtype=np.int64)
    wide_a, wide_b = ((codes - one.zero_point) << _LEFT_SHIFT for one in (a, b))
    sums = _requantised(wide_a, a)[:, None] + _requantised(wide_b, b)[None, :]
    result: Ints = np.clip(_requantised(sums, output) + output.zero_point, low, high) + 128
    return result


def _linear(op: Operator, output: Tensor, form: LinearAdd) -> Layer:
    fields = (
        ("size", f"{output.elements}u"),
        ("a", str(form.a)),
        ("b", str(form.b)),
        ("c", str(form.c)),
        ("shift", f"{form.shift}u"),
        ("low", f"{form.low}u"),
        ("high", f"{form.high}u"),
    )
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=op.inputs[:2],
        output=op.outputs[0],
        kernel=Kernel(MIXED, "sf_linear_add", "one linear form, checked on every pair of inputs"),
        struct="sf_linear_add_t",
        fields=fields,
    )
