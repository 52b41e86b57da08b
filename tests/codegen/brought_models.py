"""Random one-operator models of what users bring: shapes, slices, tables, broadcast sums, groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen.graph_builder import GraphBuilder
from codegen.more_models import Rng, image, quantisation


def ints(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """A constant of type int32."""
    return np.array(values, np.int32)


def moved(
    rng: Rng,
    name: str,
    shape: tuple[int, ...],
    out: tuple[int, ...],
    constants: Sequence[Any],
    **options: Any,
) -> bytes:
    """One operator that keeps the quantisation; options may hold its options' name as `options`."""
    q = quantisation(rng)
    g = GraphBuilder(shape, q)
    inputs = [g.source, *(g.constant(ints(values)) for values in constants)]
    return g.finish(g.operator(name, inputs, g.activation(out, q), **options))


def summed(rng: Rng, name: str) -> bytes:
    """Two branches, or an image and a constant of any shape that broadcasts, either way around."""
    shape, q = image(rng), quantisation(rng)
    other = tuple(int(n) if rng.random() < 0.5 else 1 for n in shape)
    g = GraphBuilder(shape, q)
    if rng.random() < 0.3:
        axes = g.constant(ints([1, 2]))
        second = g.operator(
            "MEAN", [g.source, axes], g.activation((1, 1, 1, shape[3]), q), "Reducer", keepDims=True
        )
    elif rng.random() < 0.2:
        second = g.source
    else:
        values = rng.integers(-128, 128, other).astype(np.int8)
        second = g.constant(
            values, (float(np.float32(q[0] * 10 ** rng.uniform(-1, 1))), int(rng.integers(-128, 128)))
        )
    operands = [g.source, second]
    if rng.random() < 0.5:
        operands.reverse()
    output = g.activation(
        shape, (float(np.float32(q[0] * rng.uniform(0.5, 3))), int(rng.integers(-128, 128)))
    )
    activation = int(rng.choice([0, 0, 1, 3]))
    return g.finish(g.operator(name, operands, output, name.title(), fusedActivationFunction=activation))


def unary(rng: Rng, name: str, scale: float | None, zero: int, options: str | None = None) -> bytes:
    """A function of one value, over input scales from flat to steep."""
    shape = image(rng)
    g = GraphBuilder(shape, (float(np.float32(10.0 ** rng.uniform(-3, 0))), int(rng.integers(-128, 128))))
    output = (scale, zero) if scale is not None else quantisation(rng)
    return g.finish(g.operator(name, [g.source], g.activation(shape, output), options))


def logistic(rng: Rng) -> bytes:
    """Scale 1/256, zero point -128, as every converter writes."""
    return unary(rng, "LOGISTIC", 1 / 256, -128)


def tanh(rng: Rng) -> bytes:
    """Scale 1/128, zero point 0."""
    return unary(rng, "TANH", 1 / 128, 0)


def hard_swish(rng: Rng) -> bytes:
    """Inputs of 0.01 to 0.1 a step, outputs of the same order."""
    shape = image(rng)
    scale = float(np.float32(10.0 ** rng.uniform(-2, -1)))
    g = GraphBuilder(shape, (scale, int(rng.integers(-128, 128))))
    output = (float(np.float32(scale * rng.uniform(0.5, 2))), int(rng.integers(-128, 128)))
    return g.finish(g.operator("HARD_SWISH", [g.source], g.activation(shape, output)))


def resize_nearest(rng: Rng) -> bytes:
    """Up and down, with align_corners, half_pixel_centers or neither."""
    shape, size = image(rng), [int(n) for n in rng.integers(1, 14, 2)]
    align, half = [(False, False), (True, False), (False, True)][int(rng.integers(3))]
    return moved(
        rng,
        "RESIZE_NEAREST_NEIGHBOR",
        shape,
        (1, *size, shape[3]),
        [size],
        options="ResizeNearestNeighbor",
        alignCorners=align,
        halfPixelCenters=half,
    )


def tile(rng: Rng) -> bytes:
    """One to three times along each dimension but the batch."""
    shape, times = image(rng), [1, *(int(n) for n in rng.integers(1, 4, 3))]
    out = tuple(n * m for n, m in zip(shape, times, strict=True))
    return moved(rng, "TILE", shape, out, [times], options="Tile")


def transpose(rng: Rng) -> bytes:
    """Any order of rows, columns and channels."""
    shape, order = image(rng), [0, *(int(n) for n in 1 + rng.permutation(3))]
    return moved(rng, "TRANSPOSE", shape, tuple(shape[i] for i in order), [order], options="Transpose")


def strided_slice(rng: Rng) -> bytes:
    """Any part, any step, backwards too, with open ends, negative numbers and dropped dimensions."""
    shape = image(rng)
    begin, end, step, masks, out = [0], [1], [1], [0, 0, 0], [1]
    for axis, n in enumerate(shape[1:], 1):
        first, last = sorted(int(v) for v in rng.choice(n, 2, replace=True))
        stride = int(rng.integers(1, 4)) * int(rng.choice([1, 1, -1]))
        kind = rng.random()
        if kind < 0.15 and len(out) > 1:
            begin, end, step = [*begin, first - n], [*end, first + 1], [*step, 1]
            masks[2] |= 1 << axis
            continue
        if stride < 0:
            first, last = last, first - 1
            end_open = last < 0
        else:
            last, end_open = last + 1, rng.random() < 0.2
        begin_open = rng.random() < 0.2
        masks[0] |= begin_open << axis
        masks[1] |= end_open << axis
        taken = range(n)[slice(None if begin_open else first, None if end_open else last, stride)]
        begin, end, step, out = [*begin, first], [*end, last], [*step, stride], [*out, len(taken)]
        if not taken:
            return strided_slice(rng)
    return moved(
        rng,
        "STRIDED_SLICE",
        shape,
        tuple(out),
        [begin, end, step],
        options="StridedSlice",
        beginMask=masks[0],
        endMask=masks[1],
        shrinkAxisMask=masks[2],
    )


def slice_(rng: Rng) -> bytes:
    """Any part; -1 is the rest."""
    shape = image(rng)
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    given = [
        -1 if b + s == n and rng.random() < 0.5 else s for n, b, s in zip(shape, begin, size, strict=True)
    ]
    return moved(rng, "SLICE", shape, tuple(size), [begin, given], options="Slice")


def depth_to_space(rng: Rng) -> bytes:
    """Blocks of 1 to 3."""
    _, h, w, c = image(rng, 3)
    block = int(rng.integers(1, 4))
    shape, out = (1, h, w, c * block * block), (1, h * block, w * block, c)
    return moved(rng, "DEPTH_TO_SPACE", shape, out, [], options="DepthToSpace", blockSize=block)


def space_to_depth(rng: Rng) -> bytes:
    """Blocks of 1 to 3."""
    _, h, w, c = image(rng, 3)
    block = int(rng.integers(1, 4))
    out, shape = (1, h, w, c * block * block), (1, h * block, w * block, c)
    return moved(rng, "SPACE_TO_DEPTH", shape, out, [], options="SpaceToDepth", blockSize=block)


def reduced(rng: Rng, name: str) -> bytes:
    """Any dimensions, with a gap or without, with and without keep_dims, negative axes too."""
    shape = image(rng)
    axes = sorted(int(a) for a in 1 + rng.choice(3, int(rng.integers(1, 4)), replace=False))
    keep = bool(rng.random() < 0.5) or len(axes) == 3
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    out = kept if keep else tuple(n for i, n in enumerate(shape) if i not in axes)
    given = [a - 4 if rng.random() < 0.3 else a for a in axes]
    return moved(rng, name, shape, out, [given], options="Reducer", keepDims=keep)


def mean_with_a_gap(rng: Rng) -> bytes:
    """Rows and channels, the columns stay."""
    shape = image(rng)
    g = GraphBuilder(shape, quantisation(rng))
    output = g.activation((1, 1, shape[2], 1), quantisation(rng))
    return g.finish(
        g.operator("MEAN", [g.source, g.constant(ints([1, 3]))], output, "Reducer", keepDims=True)
    )


def pad_of_a_row(rng: Rng) -> bytes:
    """(1, w, c): what Conv1D writes for padding "causal"."""
    shape, pads = (1, int(rng.integers(1, 9)), int(rng.integers(1, 5))), rng.integers(0, 4, (2, 2))
    out = (1, shape[1] + int(pads[0].sum()), shape[2] + int(pads[1].sum()))
    return moved(rng, "PAD", shape, out, [[[0, 0], *pads.tolist()]], options="Pad")


def expanded(rng: Rng) -> bytes:
    """EXPAND_DIMS, a pool, SQUEEZE."""
    shape, q = (1, int(rng.integers(2, 9)), int(rng.integers(1, 5))), quantisation(rng)
    g = GraphBuilder(shape, q)
    wide = g.operator(
        "EXPAND_DIMS",
        [g.source, g.constant(ints([-3])[0])],
        g.activation((1, 1, *shape[1:]), q),
        "ExpandDims",
    )
    window = {"padding": 0, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 1}
    pool = g.operator("MAX_POOL_2D", [wide], g.activation((1, 1, *shape[1:]), q), "Pool2D", **window)
    return g.finish(g.operator("SQUEEZE", [pool], g.activation(shape, q), "Squeeze", squeezeDims=[1]))


def grouped(rng: Rng) -> bytes:
    """Two to four groups, kernels to 3x3, strides, dilation, SAME and VALID."""
    groups, depth, per_group = (int(n) for n in rng.integers((2, 1, 1), (5, 4, 4)))
    _, h, w, _ = image(rng)
    channels, h, w = groups * per_group, h + 2, w + 2
    kernel, stride, same = rng.integers(1, 4, 2), rng.integers(1, 3, 2), bool(rng.random() < 0.5)
    size = [
        int(-(-n // s)) if same else int(-(-(n - k + 1) // s))
        for n, k, s in zip((h, w), kernel, stride, strict=True)
    ]
    q_in, q_out = (quantisation(rng)[0] * 0.2, int(rng.integers(-128, 128))), quantisation(rng)
    scales = (10.0 ** rng.uniform(-2, -1, channels)).astype(np.float32)
    g = GraphBuilder((1, h, w, groups * depth), q_in)
    weights = rng.integers(-127, 128, (channels, *kernel, depth)).astype(np.int8)
    bias = rng.integers(-4000, 4000, channels).astype(np.int32)
    inputs = [
        g.source,
        g.constant(weights, (list(scales), 0)),
        g.constant(bias, (list(np.float32(q_in[0]) * scales), 0)),
    ]
    output = g.activation((1, *size, channels), q_out)
    return g.finish(
        g.operator(
            "CONV_2D",
            inputs,
            output,
            "Conv2D",
            padding=0 if same else 1,
            strideH=int(stride[0]),
            strideW=int(stride[1]),
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=int(rng.choice([0, 1])),
        )
    )


def split(rng: Rng, sizes: bool = False) -> bytes:
    """Two to three parts, put together again in another order."""
    shape, q = list(image(rng)), quantisation(rng)
    axis, count = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    parts = [int(n) for n in rng.integers(1, 4, count)] if sizes else [shape[axis]] * count
    shape[axis] = sum(parts)
    g = GraphBuilder(tuple(shape), q)
    outputs = [g.activation((*shape[:axis], n, *shape[axis + 1 :]), q) for n in parts]
    along = g.constant(ints([axis - 4 if rng.random() < 0.3 else axis])[0])
    inputs = [g.source, g.constant(ints(parts)), along] if sizes else [along, g.source]
    name = "SPLIT_V" if sizes else "SPLIT"
    g.operator(name, inputs, outputs, "SplitV" if sizes else "Split", numSplits=count)
    joined = g.activation(tuple(shape), q)
    order = [outputs[int(i)] for i in rng.permutation(count)]
    return g.finish(g.operator("CONCATENATION", order, joined, "Concatenation", axis=axis))


MODELS: dict[str, Callable[[Rng], bytes]] = {
    "ADD broadcast": lambda rng: summed(rng, "ADD"),
    "SUB": lambda rng: summed(rng, "SUB"),
    "LOGISTIC": logistic,
    "TANH": tanh,
    "HARD_SWISH": hard_swish,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "TILE": tile,
    "TRANSPOSE": transpose,
    "STRIDED_SLICE": strided_slice,
    "SLICE": slice_,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "REDUCE_MAX": lambda rng: reduced(rng, "REDUCE_MAX"),
    "REDUCE_MIN": lambda rng: reduced(rng, "REDUCE_MIN"),
    "MEAN with a gap": mean_with_a_gap,
    "PAD of a row": pad_of_a_row,
    "EXPAND_DIMS and SQUEEZE": expanded,
    "CONV_2D in groups": grouped,
    "SPLIT": split,
    "SPLIT_V": lambda rng: split(rng, sizes=True),
}
