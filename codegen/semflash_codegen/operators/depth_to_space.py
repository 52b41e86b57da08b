"""DEPTH_TO_SPACE and SPACE_TO_DEPTH of one image: blocks of pixels become channels, or the other way.

Source: tensorflow/lite/kernels/internal/reference/depth_to_space.h and space_to_depth.h.
"""

from __future__ import annotations

from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.moving import move_layer
from semflash_codegen.schema import Options


def lower_depth_to_space(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = context.image(op, source)
    block = context.options(op, Options.DEPTH_TO_SPACE).integer(0, "<i")
    if block < 1 or c % (block * block):
        raise context.unsupported(op, f"the block's pixels must divide {c} channels", block)
    depth = c // (block * block)
    context.expect_shape(op, output, (1, h * block, w * block, depth))
    counts = (h, block, w, block, depth)
    return move_layer(context, op, counts, (w * c, block * depth, c, depth, 1))


def lower_space_to_depth(context: Context, op: Operator) -> Layer:
    """Check the operator; it runs in plain C."""
    source, output = context.int8_input(op, 0), context.int8_output(op)
    h, w, c = context.image(op, source)
    block = context.options(op, Options.SPACE_TO_DEPTH).integer(0, "<i")
    if block < 1 or h % block or w % block:
        raise context.unsupported(op, f"the block must divide the image of {h} x {w} pixels", block)
    context.expect_shape(op, output, (1, h // block, w // block, c * block * block))
    counts = (h // block, w // block, block, block, c)
    return move_layer(context, op, counts, (block * w * c, block * c, w * c, c, 1))
