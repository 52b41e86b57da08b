"""One file per operator: checks it and turns it into a kernel call. The registry is what is supported."""

from __future__ import annotations

from semflash_codegen.operators import (
    add,
    average_pool_2d,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    leaky_relu,
    max_pool_2d,
    mean,
    mul,
    pad,
    prelu,
    quantize,
    relu,
    resize_bilinear,
    rsqrt,
    softmax,
    transpose_conv,
)
from semflash_codegen.operators.context import Context, Lower

LOWER: dict[str, Lower] = {
    "ADD": add.lower,
    "AVERAGE_POOL_2D": average_pool_2d.lower,
    "CONCATENATION": concatenation.lower,
    "CONV_2D": conv_2d.lower,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d.lower,
    "FULLY_CONNECTED": fully_connected.lower,
    "LEAKY_RELU": leaky_relu.lower,
    "MAX_POOL_2D": max_pool_2d.lower,
    "MEAN": mean.lower,
    "MUL": mul.lower,
    "PAD": pad.lower,
    "PADV2": pad.lower,
    "PRELU": prelu.lower,
    "QUANTIZE": quantize.lower,
    "RELU": relu.lower,
    "RELU6": relu.lower,
    "RESIZE_BILINEAR": resize_bilinear.lower,
    "RSQRT": rsqrt.lower,
    "SOFTMAX": softmax.lower,
    "TRANSPOSE_CONV": transpose_conv.lower,
}

#: Operators that move no data: the output is another name of the first input.
ALIASES = ("RESHAPE",)

SUPPORTED = tuple(sorted((*LOWER, *ALIASES)))

__all__ = ["ALIASES", "LOWER", "SUPPORTED", "Context"]
