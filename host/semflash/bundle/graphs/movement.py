"""Operators that move numbers without changing them: shapes, orders, joints, margins, repetitions."""

from __future__ import annotations

import math

import numpy as np

from semflash.bundle.graphs.call import KINDS, KNOWN_MAX, REAL, WHOLE, Call, Rule, Shape, Value
from semflash_codegen.schema import Activation, TensorType

_RESHAPE, _SQUEEZE, _CONCATENATION, _PACK = 17, 30, 10, 59
_SIDE_MAX = 1 << 26


def _wanted_shape(call: Call) -> Shape:
    """Of RESHAPE: from its second input, else from its options."""
    if len(call.inputs) == 2:
        shape = tuple(int(side) for side in call.whole(1, 1))
    else:
        call.needs_options()
        call.expect(call.op.options_type == _RESHAPE, "options of another operator")
        assert call.op.options is not None
        numbers = call.op.options.numbers(0, "<i4", 8)
        shape = () if numbers is None else tuple(int(side) for side in numbers.tolist())
    call.expect(all(side == -1 or side >= 1 for side in shape), "a side that is not positive", shape)
    call.expect(shape.count(-1) <= 1, "several sides are open", shape)
    return shape


def _reshape(call: Call) -> list[Value]:
    call.operands(1, 2)
    source, shape = call.input(0), _wanted_shape(call)
    if -1 in shape:
        rest = math.prod(side for side in shape if side != -1)
        shape = tuple(source.elements // rest if side == -1 else side for side in shape)
    call.expect(math.prod(shape) == source.elements, "another number of elements", shape)
    return [call.made(shape, source.kind, call.folded(lambda n: n.reshape(shape), source))]


def _squeeze(call: Call) -> list[Value]:
    call.operands(1)
    call.needs_options()
    call.expect(call.op.options_type == _SQUEEZE, "options of another operator")
    assert call.op.options is not None
    source, numbers = call.input(0), call.op.options.numbers(0, "<i4", 8)
    rank = len(source.shape)
    axes = {call.axis(int(axis), rank) for axis in (() if numbers is None else numbers.tolist())}
    call.expect(bool(axes), "no axis")
    call.expect(all(source.shape[axis] == 1 for axis in axes), "an axis that is longer than 1", source.shape)
    shape = tuple(side for i, side in enumerate(source.shape) if i not in axes)
    return [call.made(shape, source.kind, call.folded(lambda n: n.reshape(shape), source))]


def _expand_dims(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    axis = call.axis(call.scalar(1), len(source.shape) + 1)
    shape = (*source.shape[:axis], 1, *source.shape[axis:])
    return [call.made(shape, source.kind, call.folded(lambda n: n.reshape(shape), source))]


def _transpose(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    rank = len(source.shape)
    order = call.list(1, rank, 0, rank - 1)
    call.expect(len(set(order)) == rank, "an order that repeats an axis", order)
    shape = tuple(source.shape[axis] for axis in order)
    return [call.made(shape, source.kind, call.folded(lambda n: n.transpose(order), source))]


def _concatenation(call: Call) -> list[Value]:
    call.operands(1, 64)
    values = [call.input(i) for i in range(len(call.inputs))]
    kind, rank = call.same_kind(*values), len(values[0].shape)
    axis = call.axis(call.option(_CONCATENATION, 0, "<i"), rank)
    call.expect(call.option(_CONCATENATION, 1, "<b") == Activation.NONE, "a fused activation")
    rests = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    call.expect(len(rests) == 1 and all(len(v.shape) == rank for v in values), "inputs that do not fit")
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    known = call.folded(lambda *numbers: np.concatenate(numbers, axis), *values)
    return [call.made(shape, kind, known)]


def _pack(call: Call) -> list[Value]:
    call.operands(1, 64)
    call.needs_options()
    values = [call.input(i) for i in range(len(call.inputs))]
    kind, shapes = call.same_kind(*values), {value.shape for value in values}
    call.expect(len(shapes) == 1, "inputs of several shapes", sorted(shapes))
    call.expect(call.option(_PACK, 0, "<i") == len(values), "another number of values")
    shape = values[0].shape
    axis = call.axis(call.option(_PACK, 1, "<i"), len(shape) + 1)
    known = call.folded(lambda *numbers: np.stack(numbers, axis), *values)
    return [call.made((*shape[:axis], len(values), *shape[axis:]), kind, known)]


def _margins(call: Call, source: Value) -> list[tuple[int, int]]:
    """(before, after) of every axis."""
    pairs = call.whole(1, 2)
    call.expect(pairs.shape == (len(source.shape), 2), "margins of another shape", pairs.shape)
    margins = [(int(before), int(after)) for before, after in pairs]
    call.expect(all(0 <= m <= _SIDE_MAX for pair in margins for m in pair), "a margin out of range", margins)
    return margins


def _pad(call: Call) -> list[Value]:
    call.operands(3 if call.op.name == "PADV2" else 2)
    source = call.real(0)
    if call.op.name == "PADV2":
        call.expect(call.real(2, 0, 1).elements == 1, "one value expected", call.real(2).shape)
    sides = zip(source.shape, _margins(call, source), strict=True)
    return [call.made([side + before + after for side, (before, after) in sides])]


def _mirror_pad(call: Call) -> list[Value]:
    call.operands(2)
    source, margins = call.real(0), _margins(call, call.real(0))
    inside = call.choice(77, 0, (1, 0))  # REFLECT leaves out the edge, SYMMETRIC does not
    call.expect(
        all(m <= side - inside for side, pair in zip(source.shape, margins, strict=True) for m in pair),
        "a margin that is wider than its map",
        margins,
    )
    sides = zip(source.shape, margins, strict=True)
    return [call.made([side + before + after for side, (before, after) in sides])]


def _tile(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    times = call.list(1, len(source.shape), 1, _SIDE_MAX)
    shape = [side * count for side, count in zip(source.shape, times, strict=True)]
    made = call.made(shape, source.kind)
    known = call.folded(lambda n: np.tile(n, times), source) if made.elements <= KNOWN_MAX else None
    return [call.made(shape, source.kind, known)]


def _broadcast_to(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    shape = call.list(1, len(call.whole(1, 1)), 1, _SIDE_MAX)
    call.expect(call.broadcast(source, Value(shape)) == shape, "a shape that does not fit", shape)
    return [call.made(shape, source.kind)]


def _fill(call: Call) -> list[Value]:
    call.operands(2)
    value = call.input(1)
    call.expect(value.elements == 1 and len(value.shape) == 0, "one value expected", value.shape)
    return [call.made(call.list(0, len(call.whole(0, 1)), 1, _SIDE_MAX), value.kind)]


def _shape(call: Call) -> list[Value]:
    call.operands(1)
    source, kind = call.input(0), call.model.tensors[call.op.outputs[0]].dtype
    code = call.option(55, 0, "<b", int(TensorType.FLOAT32))
    call.expect(kind in WHOLE and code == int(kind), "a shape of another kind", code)
    return [call.made((len(source.shape),), kind, source.shape)]


def _rank(call: Call) -> list[Value]:
    call.operands(1)
    return [call.made((), TensorType.INT32, len(call.input(0).shape))]


def _range(call: Call) -> list[Value]:
    call.operands(3)
    values = [call.input(i) for i in range(3)]
    kind = call.same_kind(*values)
    call.expect(kind in WHOLE and all(v.shape == () for v in values), "a range of another kind", kind.name)
    start, limit, step = (call.scalar(i) for i in range(3))
    call.expect(step != 0 and abs(limit - start) <= 1 << 16, "a range out of bounds", (start, limit, step))
    numbers = range(start, limit, step)
    return [call.made((len(numbers),), kind, list(numbers))]


def _reverse(call: Call) -> list[Value]:
    call.operands(2)
    source = call.input(0)
    call.expect(source.kind in (REAL, *WHOLE), "an input of another kind", source.kind.name)
    axes = [call.axis(int(axis), len(source.shape)) for axis in call.whole(1, 1)]
    call.expect(bool(axes) and len(set(axes)) == len(axes), "axes that repeat, or none", axes)
    return [call.made(source.shape, source.kind)]


def _one_hot(call: Call) -> list[Value]:
    call.operands(4)
    indices, depth = call.input(0), call.scalar(1)
    on, off = call.input(2), call.input(3)
    call.expect(indices.kind in WHOLE, "indices of another kind", indices.kind.name)
    call.expect(
        on.shape == off.shape == () and 1 <= depth <= _SIDE_MAX, "depth or values out of range", depth
    )
    axis = call.option(61, 0, "<i")
    axis = len(indices.shape) if axis == -1 else axis
    call.expect(0 <= axis <= len(indices.shape), "an axis out of range", axis)
    kind = call.same_kind(on, off)
    call.expect(kind in KINDS, "values of another kind", kind.name)
    return [call.made((*indices.shape[:axis], depth, *indices.shape[axis:]), kind)]


RULES: dict[str, Rule] = {
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _fill,
    "MIRROR_PAD": _mirror_pad,
    "ONE_HOT": _one_hot,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RANGE": _range,
    "RANK": _rank,
    "RESHAPE": _reshape,
    "REVERSE_V2": _reverse,
    "SHAPE": _shape,
    "SQUEEZE": _squeeze,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
