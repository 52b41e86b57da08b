"""AVERAGE_POOL_2D: divides by the pixels inside the image, halves round away from zero."""

from __future__ import annotations

from semflash_codegen import cmsis_nn
from semflash_codegen.ir import Operator
from semflash_codegen.layer import REFERENCE, Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.pool import pool_layer


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and choose its kernel. CMSIS-NN with DSP sums into one int32 per channel."""
    kernel = context.choose("AVERAGE_POOL_2D", "sf_average_pool2d", cmsis_nn.AVERAGE_POOL_2D)
    depth = context.image(op, context.int8_input(op, 0))[2]
    return pool_layer(context, op, kernel, 0 if kernel.runs_on == REFERENCE else 4 * depth)
