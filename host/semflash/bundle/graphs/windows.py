"""Operators that slide a window over a map, or change its size: convolutions, pools, resizing, blocks."""

from __future__ import annotations

from semflash.bundle.graphs.call import Call, Rule, Shape, Value

_CONV, _DEPTHWISE, _POOL, _TRANSPOSE_CONV = 1, 2, 5, 49
_SAME, _VALID = "same", "valid"
#: Strides, dilations, windows: beyond what any image needs, far from what leaves int32.
_SIDE_MAX = 1 << 14


def _positive(call: Call, tag: int, field: int, default: int = 0) -> int:
    """A side of a window, a stride, a dilation."""
    value = call.option(tag, field, "<i", default)
    call.expect(1 <= value <= _SIDE_MAX, f"a stride, dilation or window outside 1..{_SIDE_MAX}", value)
    return value


def _strided(call: Call, padding: str, side: int, window: int, stride: int) -> int:
    """Positions of a window along one side."""
    out = -(-side // stride) if padding == _SAME else -(-(side - window + 1) // stride)
    call.expect(out >= 1, "a window that is larger than its map", (window, side))
    return out


def _slid(
    call: Call, tag: int, map_shape: Shape, window: tuple[int, int], dilation: tuple[int, int]
) -> Shape:
    """(batch, height, width) of a window's positions."""
    padding = call.choice(tag, 0, (_SAME, _VALID))
    strides = _positive(call, tag, 2), _positive(call, tag, 1)
    sides = [
        _strided(call, padding, side, (size - 1) * spread + 1, stride)
        for side, size, spread, stride in zip(map_shape[1:3], window, dilation, strides, strict=True)
    ]
    return (map_shape[0], *sides)


def _conv_2d(call: Call) -> list[Value]:
    call.operands(2, 3)
    call.needs_options()
    source, weights = call.real(0, 4), call.weights(1, 4)
    channels, height, width, depth = weights.shape
    groups, rest = divmod(source.shape[3], depth)
    call.expect(rest == 0 and channels % groups == 0, "weights for other channels", weights.shape)
    call.bias(2, channels)
    call.activation(_CONV, 3)
    dilation = _positive(call, _CONV, 5, 1), _positive(call, _CONV, 4, 1)
    return [call.made((*_slid(call, _CONV, source.shape, (height, width), dilation), channels))]


def _depthwise_conv_2d(call: Call) -> list[Value]:
    call.operands(2, 3)
    call.needs_options()
    source, weights = call.real(0, 4), call.weights(1, 4)
    one, height, width, channels = weights.shape
    multiplier = call.option(_DEPTHWISE, 3, "<i")
    call.expect(
        one == 1 and channels == source.shape[3] * multiplier, "weights for other channels", weights.shape
    )
    call.bias(2, channels)
    call.activation(_DEPTHWISE, 4)
    dilation = _positive(call, _DEPTHWISE, 6, 1), _positive(call, _DEPTHWISE, 5, 1)
    return [call.made((*_slid(call, _DEPTHWISE, source.shape, (height, width), dilation), channels))]


def _pool(call: Call) -> list[Value]:
    call.operands(1)
    call.needs_options()
    source = call.real(0, 4)
    window = _positive(call, _POOL, 4), _positive(call, _POOL, 3)
    call.activation(_POOL, 5)
    return [call.made((*_slid(call, _POOL, source.shape, window, (1, 1)), source.shape[3]))]


def _transpose_conv(call: Call) -> list[Value]:
    """The window slides over the output: it must meet every place of the input."""
    call.operands(3, 4)
    call.needs_options()
    weights, source = call.weights(1, 4), call.real(2, 4)
    channels, height, width, depth = weights.shape
    call.expect(depth == source.shape[3], "weights for other channels", weights.shape)
    call.bias(3, channels)
    call.activation(_TRANSPOSE_CONV, 3)
    shape = call.list(0, 4, 1, 1 << 30)
    result = call.made(shape)
    slid = _slid(call, _TRANSPOSE_CONV, shape, (height, width), (1, 1))
    call.expect(slid == source.shape[:3] and shape[3] == channels, "an output shape that does not fit", shape)
    return [result]


def _resize(call: Call) -> list[Value]:
    call.operands(2)
    source, size = call.real(0, 4), call.list(1, 2, 1, 1 << 16)
    tag, first = (15, 2) if call.op.name == "RESIZE_BILINEAR" else (74, 0)
    corners, centres = (call.choice(tag, first + i, (False, True)) for i in range(2))
    call.expect(not (corners and centres), "both align_corners and half_pixel_centers")
    return [call.made((source.shape[0], *size, source.shape[3]))]


def _blocks(call: Call, source: Value) -> tuple[Shape, list[tuple[int, int]]]:
    """Block sides and (before, after) of each, of SPACE_TO_BATCH_ND and its inverse."""
    sides = len(source.shape) - 2
    block = call.list(1, sides, 1, _SIDE_MAX)
    pairs = call.whole(2, 2)
    call.expect(pairs.shape == (sides, 2), "margins of another shape", pairs.shape)
    margins = [(int(before), int(after)) for before, after in pairs]
    call.expect(all(0 <= m <= _SIDE_MAX for pair in margins for m in pair), "a margin out of range", margins)
    return block, margins


def _space_to_batch(call: Call) -> list[Value]:
    call.operands(3)
    source = call.real(0, 3, 4)
    block, margins = _blocks(call, source)
    batch = source.shape[0]
    sides: list[int] = []
    for side, size, (before, after) in zip(source.shape[1:-1], block, margins, strict=True):
        padded = side + before + after
        call.expect(padded % size == 0, "a side that is no multiple of its block", (padded, size))
        batch, sides = batch * size, [*sides, padded // size]
    return [call.made((batch, *sides, source.shape[-1]))]


def _batch_to_space(call: Call) -> list[Value]:
    call.operands(3)
    source = call.real(0, 3, 4)
    block, margins = _blocks(call, source)
    batch = source.shape[0]
    sides: list[int] = []
    for side, size, (before, after) in zip(source.shape[1:-1], block, margins, strict=True):
        call.expect(batch % size == 0, "a batch that is no multiple of its blocks", (batch, size))
        batch, sides = batch // size, [*sides, side * size - before - after]
    return [call.made((batch, *sides, source.shape[-1]))]


def _depth_and_space(call: Call) -> list[Value]:
    call.operands(1)
    call.needs_options()
    (batch, height, width, depth), to_space = call.real(0, 4).shape, call.op.name == "DEPTH_TO_SPACE"
    block = _positive(call, 94 if to_space else 19, 0)
    if to_space:
        call.expect(depth % (block * block) == 0, "channels that are no multiple of the block", depth)
        return [call.made((batch, height * block, width * block, depth // (block * block)))]
    call.expect(height % block == 0 and width % block == 0, "sides that are no multiple of the block")
    return [call.made((batch, height // block, width // block, depth * block * block))]


RULES: dict[str, Rule] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "DEPTH_TO_SPACE": _depth_and_space,
    "SPACE_TO_DEPTH": _depth_and_space,
}
