"""Operators that take a part of a tensor: slices, splits, entries by their indices."""

from __future__ import annotations

import numpy as np

from semflash.bundle.graphs.call import Call, Rule, Value

_STRIDED_SLICE, _GATHER, _SPLIT, _SPLIT_V, _UNPACK = 32, 23, 35, 79, 64
_INT32 = (1 << 31) - 1


def _slice(call: Call) -> list[Value]:
    call.operands(3)
    source = call.input(0)
    rank = len(source.shape)
    begin, size = call.list(1, rank, 0, _INT32), call.list(2, rank, -1, _INT32)
    wanted = zip(source.shape, begin, size, strict=True)
    shape = [side - first if count == -1 else count for side, first, count in wanted]
    call.expect(
        all(first + n <= side for side, first, n in zip(source.shape, begin, shape, strict=True)),
        "a slice that leaves its tensor",
        (begin, size),
    )
    cut = tuple(slice(first, first + n) for first, n in zip(begin, shape, strict=True))
    return [call.made(shape, source.kind, call.folded(lambda n: n[cut], source))]


def _strided_slice(call: Call) -> list[Value]:
    """As Python's slices; what is shrunk to one entry keeps no axis."""
    call.operands(4)
    call.needs_options()
    source = call.input(0)
    count = len(call.whole(1, 1))
    call.expect(count <= len(source.shape), "more slices than dimensions", count)
    begin, end = (call.list(i, count, -_INT32 - 1, _INT32) for i in (1, 2))
    strides = call.list(3, count, -_INT32, _INT32)
    call.expect(all(stride != 0 for stride in strides), "a stride of 0", strides)
    begins, ends, ellipsis, new, shrink, offset = (
        call.option(_STRIDED_SLICE, field, "<b" if field == 5 else "<i") for field in range(6)
    )
    call.expect(ellipsis == new == offset == 0, "an ellipsis, a new axis or an offset", (ellipsis, new))
    masks = (begins | ends | shrink) >> count
    call.expect(
        masks == 0 and min(begins, ends, shrink) >= 0, "a mask beyond the slices", (begins, ends, shrink)
    )
    cut: list[slice | int] = []
    for axis, side in enumerate(source.shape[:count]):
        if shrink >> axis & 1:
            call.expect(-side <= begin[axis] < side, "an entry that does not exist", begin[axis])
            call.expect(strides[axis] > 0, "a stride backwards to one entry", strides[axis])
            cut.append(begin[axis])
            continue
        first = None if begins >> axis & 1 else begin[axis]
        cut.append(slice(first, None if ends >> axis & 1 else end[axis], strides[axis]))
    shape = [
        len(range(side)[part])
        for side, part in zip(source.shape, cut, strict=False)
        if isinstance(part, slice)
    ]
    shape += source.shape[count:]
    return [call.made(shape, source.kind, call.folded(lambda n: n[tuple(cut)], source))]


def _gather(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    axis = call.axis(call.option(_GATHER, 0, "<i"), len(source.shape))
    call.expect(call.option(_GATHER, 1, "<i") == 0, "batches of indices")
    indices = call.whole(1)
    side = source.shape[axis]
    call.expect(bool(((indices >= 0) & (indices < side)).all()), f"an index outside 0..{side - 1}")
    shape = (*source.shape[:axis], *indices.shape, *source.shape[axis + 1 :])
    return [call.made(shape, source.kind, call.folded(lambda n: np.take(n, indices, axis), source))]


def _gather_nd(call: Call) -> list[Value]:
    call.operands(2)
    source, value = call.real(0), call.input(1)
    call.expect(len(value.shape) >= 1, "indices without a dimension")
    indices = call.whole(1, *range(1, 6))
    depth = value.shape[-1]
    call.expect(depth <= len(source.shape), "indices of more dimensions than the tensor", value.shape)
    call.expect(
        bool(((indices >= 0) & (indices < np.array(source.shape[:depth]))).all()), "an index out of range"
    )
    return [call.made((*value.shape[:-1], *source.shape[depth:]))]


def _pieces(call: Call, source: Value, axis: int, sizes: list[int]) -> list[Value]:
    call.expect(len(call.op.outputs) == len(sizes), "another number of outputs", len(call.op.outputs))
    call.expect(sum(sizes) == source.shape[axis], "pieces that are not the whole", sizes)
    shapes = [(*source.shape[:axis], size, *source.shape[axis + 1 :]) for size in sizes]
    return [call.made(shape, source.kind) for shape in shapes]


def _split(call: Call) -> list[Value]:
    call.operands(2)
    call.needs_options()
    source, count = call.input(1), call.option(_SPLIT, 0, "<i")
    axis = call.axis(call.scalar(0), len(source.shape))
    call.expect(count >= 1 and source.shape[axis] % count == 0, "unequal pieces", count)
    call.expect(count == len(call.op.outputs), "another number of outputs", count)
    return _pieces(call, source, axis, [source.shape[axis] // count] * count)


def _split_v(call: Call) -> list[Value]:
    call.operands(3)
    call.needs_options()
    source, sizes = call.input(0), [int(size) for size in call.whole(1, 1)]
    axis = call.axis(call.scalar(2), len(source.shape))
    call.expect(call.option(_SPLIT_V, 0, "<i") == len(sizes), "another number of pieces", len(sizes))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = source.shape[axis] - sum(sizes) - 1
    return _pieces(call, source, axis, sizes)


def _unpack(call: Call) -> list[Value]:
    call.operands(1)
    call.needs_options()
    source, count = call.input(0), call.option(_UNPACK, 0, "<i")
    axis = call.axis(call.option(_UNPACK, 1, "<i"), len(source.shape))
    call.expect(count == source.shape[axis] == len(call.op.outputs), "another number of pieces", count)
    shape = source.shape[:axis] + source.shape[axis + 1 :]
    made = []
    for i in range(count):
        known = None if source.known is None else np.take(source.known, i, axis)
        made.append(call.made(shape, source.kind, known))
    return made


RULES: dict[str, Rule] = {
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "STRIDED_SLICE": _strided_slice,
    "UNPACK": _unpack,
}
