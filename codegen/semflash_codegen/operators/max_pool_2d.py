"""MAX_POOL_2D: pixels outside the image do not count."""

from __future__ import annotations

from semflash_codegen import cmsis_nn
from semflash_codegen.ir import Operator
from semflash_codegen.layer import Layer
from semflash_codegen.operators.context import Context
from semflash_codegen.operators.pool import pool_layer


def lower(context: Context, op: Operator) -> Layer:
    """Check the operator and choose its kernel."""
    return pool_layer(context, op, context.choose("MAX_POOL_2D", "sf_max_pool2d", cmsis_nn.MAX_POOL_2D), 0)
