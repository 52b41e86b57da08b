"""ADD and SUB of two int8 tensors, or of one and a constant; either may be broadcast.

Source: tensorflow/lite/micro/kernels/add_common.cc and sub_common.cc: both inputs are scaled to twice the
larger input scale with 20 bits of headroom, added, and scaled to the output. With one constant for all values
it is a function of one value: a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash_codegen.fixed_point import requantise
from semflash_codegen.ir import Operator, Tensor
from semflash_codegen.layer import AUTO, MIXED, Array, Kernel, Layer
from semflash_codegen.operators.broadcasting import broadcast_shape, image_of, strides_initialiser
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.convolution import shape_initialiser
from semflash_codegen.operators.linear_add import Ints, LinearAdd, find_linear, requantised
from semflash_codegen.operators.lookup import lookup_layer
from semflash_codegen.quantise import activation_range, quantise_multiplier
from semflash_codegen.schema import Options

_LEFT_SHIFT = 20


@dataclass(frozen=True)
class _Operand:
    """A tensor and its way to the common scale; sign: -1 where it is taken off."""

    tensor: Tensor
    sign: int
    multiplier: int
    shift: int

    def scaled(self, value: int) -> int:
        """A value in the common scale, with its sign."""
        wide = (value - self.tensor.zero_point) << _LEFT_SHIFT
        return self.sign * requantise(wide, self.multiplier, self.shift)

    def of_all_codes(self) -> Ints:
        """:meth:`scaled` of -128..127: (256,)."""
        return np.array([self.scaled(code) for code in range(-128, 128)], np.int64)

    def initialiser(self, context: Context, op: Operator, output: Tensor) -> str:
        """C initialiser of sf_operand_t."""
        strides = strides_initialiser(context, op, self.tensor, output)
        values = (self.tensor.zero_point, self.sign, self.multiplier, self.shift)
        return "{" + ", ".join((strides, *map(str, values))) + "}"


@dataclass(frozen=True)
class _Sum:
    """All integers of the operator; a is an activation."""

    a: _Operand
    b: _Operand
    output: Tensor
    multiplier: int
    shift: int
    act_min: int
    act_max: int

    def output_fields(self) -> tuple[tuple[str, str], ...]:
        """Members that all three kernels have."""
        return (
            ("output_zero_point", str(self.output.zero_point)),
            ("act_min", str(self.act_min)),
            ("act_max", str(self.act_max)),
            ("output_multiplier", str(self.multiplier)),
            ("output_shift", str(self.shift)),
        )

    def linear_form(self) -> LinearAdd | None:
        """One linear form that gives the bytes of all pairs of values, if there is one."""
        sums = self.a.of_all_codes()[:, None] + self.b.of_all_codes()[None, :]
        values = requantised(sums, self.multiplier, self.shift) + self.output.zero_point
        expected: Ints = np.clip(values, self.act_min, self.act_max) + 128
        ratio_a, ratio_b = (one.tensor.scale / self.output.scale for one in (self.a, self.b))
        return find_linear(expected, ratio_a, ratio_b, self.act_min + 128, self.act_max + 128)

    def of(self, a: int, b: int) -> int:
        """The int8 result for two int8 values."""
        value = requantise(self.a.scaled(a) + self.b.scaled(b), self.multiplier, self.shift)
        return min(max(value + self.output.zero_point, self.act_min), self.act_max)


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    total = _plan(context, op)
    a, b = total.a.tensor, total.b.tensor
    if b.data is not None and b.elements == 1:
        constant = int(b.int8_values().reshape(-1)[0])
        return lookup_layer(context, op, lambda value: total.of(value, constant), source=a)
    if op.name == "ADD" and b.data is None and a.shape == b.shape == total.output.shape:
        return _dense(context, op, total)
    return _broadcast(context, op, total)


def _plan(context: Context, op: Operator) -> _Sum:
    """Operands, scales and shapes, checked."""
    a, b = (context.int8(op, context.input(op, i)) for i in (0, 1))
    output = context.int8_output(op)
    twice_larger = 2.0 * max(a.scale, b.scale)
    real_output = twice_larger / ((1 << _LEFT_SHIFT) * output.scale)
    if real_output >= 1.0:
        raise context.unsupported(op, "the output scale is too small for the inputs", output.scale)
    operands = [
        _Operand(tensor, sign, *quantise_multiplier(tensor.scale / twice_larger))
        for tensor, sign in ((a, 1), (b, -1 if op.name == "SUB" else 1))
    ]
    if a.data is not None:
        operands.reverse()
    if operands[0].tensor.data is not None:
        raise context.unsupported(op, "both inputs are constants")
    if a.shape != b.shape or a.shape != output.shape:
        broadcast_shape(context, op, a, b, output)
    context.options(op, Options.SUB if op.name == "SUB" else Options.ADD)
    bounds = activation_range(context.activation(op, 0), output, context.label(op))
    return _Sum(operands[0], operands[1], output, *quantise_multiplier(real_output), *bounds)


def _dense(context: Context, op: Operator, total: _Sum) -> Layer:
    """Two activations of one shape."""
    fields = (
        ("size", str(total.output.elements)),
        ("zero_point_a", str(total.a.tensor.zero_point)),
        ("zero_point_b", str(total.b.tensor.zero_point)),
        *total.output_fields()[:3],
        ("multiplier_a", str(total.a.multiplier)),
        ("shift_a", str(total.a.shift)),
        ("multiplier_b", str(total.b.multiplier)),
        ("shift_b", str(total.b.shift)),
        *total.output_fields()[3:],
    )
    form = total.linear_form() if context.kernels == AUTO else None
    if form is not None:
        return _linear(op, total.output, form)
    return Layer(
        index=op.index,
        operator=op.name,
        name=total.output.name,
        inputs=op.inputs[:2],
        output=op.outputs[0],
        kernel=context.choose("ADD", "sf_add", None),
        struct="sf_add_t",
        fields=fields,
    )


def _linear(op: Operator, output: Tensor, form: LinearAdd) -> Layer:
    """The same, where one linear form gives all bytes."""
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


def _broadcast(context: Context, op: Operator, total: _Sum) -> Layer:
    """Operands that are repeated, or a constant of several values."""
    a, b, output = total.a, total.b, total.output
    fields = (
        ("out", shape_initialiser(image_of(context, op, output))),
        ("a", a.initialiser(context, op, output)),
        ("b", b.initialiser(context, op, output)),
        *total.output_fields(),
    )
    constant = b.tensor.data is not None
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=(a.tensor.index,) if constant else (a.tensor.index, b.tensor.index),
        output=op.outputs[0],
        kernel=context.choose(op.name, "sf_add_constant" if constant else "sf_add_broadcast", None),
        struct="sf_add_broadcast_t",
        fields=fields,
        arrays=(Array("constant", "int8_t", b.tensor.int8_values()),) if constant else (),
    )
