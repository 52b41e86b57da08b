"""One file per operator: checks it and turns it into a kernel call. The registry is what is supported."""

from __future__ import annotations

from semflash_codegen.operators import (
    add,
    average_pool_2d,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    max_pool_2d,
    pad,
    relu,
)
from semflash_codegen.operators.context import Context, Lower

LOWER: dict[str, Lower] = {
    "ADD": add.lower,
    "AVERAGE_POOL_2D": average_pool_2d.lower,
    "CONV_2D": conv_2d.lower,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d.lower,
    "FULLY_CONNECTED": fully_connected.lower,
    "MAX_POOL_2D": max_pool_2d.lower,
    "PAD": pad.lower,
    "PADV2": pad.lower,
    "RELU": relu.lower,
    "RELU6": relu.lower,
}

#: Operators that move no data: the output is another name of the first input.
ALIASES = ("RESHAPE",)

SUPPORTED = tuple(sorted((*LOWER, *ALIASES)))

__all__ = ["ALIASES", "LOWER", "SUPPORTED", "Context"]
