"""One file per operator: checks it and turns it into a kernel call. The registry is what is supported."""

from __future__ import annotations

from semflash_codegen.operators import (
    add,
    average_pool_2d,
    concatenation,
    conv_2d,
    depth_to_space,
    depthwise_conv_2d,
    fully_connected,
    hard_swish,
    leaky_relu,
    logistic,
    max_pool_2d,
    mean,
    mul,
    pad,
    prelu,
    quantize,
    reduce_max,
    relu,
    resize_bilinear,
    resize_nearest_neighbor,
    rsqrt,
    softmax,
    strided_slice,
    tile,
    transpose,
    transpose_conv,
)
from semflash_codegen.operators.context import Context, Lower

LOWER: dict[str, Lower] = {
    "ADD": add.lower,
    "AVERAGE_POOL_2D": average_pool_2d.lower,
    "CONCATENATION": concatenation.lower,
    "CONV_2D": conv_2d.lower,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d.lower,
    "DEPTH_TO_SPACE": depth_to_space.lower_depth_to_space,
    "FULLY_CONNECTED": fully_connected.lower,
    "HARD_SWISH": hard_swish.lower,
    "LEAKY_RELU": leaky_relu.lower,
    "LOGISTIC": logistic.lower_logistic,
    "MAX_POOL_2D": max_pool_2d.lower,
    "MEAN": mean.lower,
    "MUL": mul.lower,
    "PAD": pad.lower,
    "PADV2": pad.lower,
    "PRELU": prelu.lower,
    "QUANTIZE": quantize.lower,
    "REDUCE_MAX": reduce_max.lower,
    "REDUCE_MIN": reduce_max.lower,
    "RELU": relu.lower,
    "RELU6": relu.lower,
    "RESIZE_BILINEAR": resize_bilinear.lower,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor.lower,
    "RSQRT": rsqrt.lower,
    "SLICE": strided_slice.lower,
    "SOFTMAX": softmax.lower,
    "SPACE_TO_DEPTH": depth_to_space.lower_space_to_depth,
    "STRIDED_SLICE": strided_slice.lower,
    "SUB": add.lower,
    "TANH": logistic.lower_tanh,
    "TILE": tile.lower,
    "TRANSPOSE": transpose.lower,
    "TRANSPOSE_CONV": transpose_conv.lower,
}

#: Operators that move no data: the output is another name of the first input.
ALIASES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")

#: Operators that a pass (rewrites/) turns into others, where it can.
REWRITTEN = ("BATCH_TO_SPACE_ND", "PACK", "SHAPE", "SPACE_TO_BATCH_ND", "SPLIT", "SPLIT_V")

SUPPORTED = tuple(sorted((*LOWER, *ALIASES, *REWRITTEN)))

__all__ = ["ALIASES", "LOWER", "REWRITTEN", "SUPPORTED", "Context"]
