"""TRANSPOSE by a constant permutation."""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.moving import dense_strides, move_layer


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    rank = len(source.shape)
    order = context.integers(op, 1, "the permutation")
    if sorted(order) != list(range(rank)):
        raise context.unsupported(op, f"the permutation must hold 0..{rank - 1} once each", order)
    counts = tuple(source.shape[axis] for axis in order)
    context.expect_shape(op, output, counts)
    strides = dense_strides(source.shape)
    return move_layer(context, op, counts, [strides[axis] for axis in order])
