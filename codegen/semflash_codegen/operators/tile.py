"""TILE by constant multiples: the input is repeated along each dimension (Keras writes UpSampling2D so)."""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.moving import dense_strides, move_layer


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    multiples = context.integers(op, 1, "the multiples")
    if len(multiples) != len(source.shape) or min(multiples, default=1) < 1:
        raise context.unsupported(op, "there must be one multiple of 1 or more per dimension", multiples)
    context.expect_shape(op, output, tuple(n * m for n, m in zip(source.shape, multiples, strict=True)))
    counts, strides = list[int](), list[int]()
    for count, repeat, stride in zip(source.shape, multiples, dense_strides(source.shape), strict=True):
        counts += [repeat, count]
        strides += [0, stride]
    return move_layer(context, op, counts, strides)
