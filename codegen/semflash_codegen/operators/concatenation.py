"""CONCATENATION along any axis; all inputs have the output's quantisation, as TFLite demands for int8."""

from __future__ import annotations

from math import prod

import numpy as np

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Array, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.schema import Activation, Options


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    output = context.int8_output(op)
    tensors = [context.int8_input(op, i) for i in range(max(1, len(op.inputs)))]
    rank = len(output.shape)
    axis = context.options(op, Options.CONCATENATION).integer(0, "<i")
    if not -rank <= axis < rank:
        raise context.unsupported(op, f"the axis must lie in -{rank}..{rank - 1}", axis)
    axis %= rank
    if context.activation(op, 1) is not Activation.NONE:
        raise context.unsupported(op, "a fused activation")
    for tensor in tensors:
        if (tensor.scale, tensor.zero_point) != (output.scale, output.zero_point):
            raise context.unsupported(op, "inputs and output must have the same scale and zero point")
        if len(tensor.shape) != rank or _without(tensor.shape, axis) != _without(output.shape, axis):
            raise context.unsupported(op, "the inputs' shapes do not fit", [t.shape for t in tensors])
    joined = sum(t.shape[axis] for t in tensors)
    context.expect_shape(op, output, (*output.shape[:axis], joined, *output.shape[axis + 1 :]))
    runs = np.array([prod(t.shape[axis:]) for t in tensors], np.int32)
    return Layer(
        index=op.index,
        operator=op.name,
        name=output.name,
        inputs=op.inputs,
        output=op.outputs[0],
        kernel=context.choose("CONCATENATION", "sf_concatenation", None),
        struct="sf_concatenation_t",
        fields=(("outer", str(prod(output.shape[:axis]))), ("count", str(len(tensors)))),
        arrays=(Array("runs", "int32_t", runs),),
        inputs_as_list=True,
    )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
