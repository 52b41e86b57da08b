"""The walks of operators that only move values, against numpy; and shapes that are computed in the graph."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.brought_models import ints
from codegen.graph_builder import GraphBuilder
from semflash_codegen import CodegenError
from semflash_codegen.layer import Layer
from semflash_codegen.operators import LOWER, Context
from semflash_codegen.passes import make_plan
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model

Q = (0.05, -3)
Array = np.ndarray


def walk(layer: Layer, source: Array) -> Array:
    """What sf_move does, index by index."""
    fields = dict(layer.fields)
    counts, strides = ([int(n) for n in re.findall(r"-?\d+", fields[name])] for name in ("counts", "strides"))
    positions = np.full(counts, int(fields["first"]))
    for axis, stride in enumerate(strides):
        steps = stride * np.arange(counts[axis])
        positions = positions + steps.reshape([-1 if i == axis else 1 for i in range(len(counts))])
    return source.reshape(-1)[positions.reshape(-1)]


def layer_of(model: bytes) -> Layer:
    graph = read_model(model)
    (op,) = graph.operators
    return LOWER[op.name](Context(graph, "reference"), op)


def moved(name: str, source: Array, result: Array, constants: list[object], **options: object) -> None:
    """The operator on a tensor of ascending numbers gives what numpy says."""
    g = GraphBuilder(source.shape, Q)
    inputs = [g.source, *(g.constant(ints(values)) for values in constants)]  # type: ignore[arg-type]
    model = g.finish(g.operator(name, inputs, g.activation(result.shape, Q), **options))  # type: ignore[arg-type]
    assert np.array_equal(walk(layer_of(model), source), result.reshape(-1))


@st.composite
def tensors(draw: st.DrawFn) -> Array:
    """Ascending numbers of one to five dimensions."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    return np.arange(np.prod(shape)).reshape(shape)


@given(source=tensors(), data=st.data())
def test_a_slice_takes_what_numpys_takes(source: Array, data: st.DataObject) -> None:
    begin, end, step, masks, parts = [], [], [], [0, 0, 0], []
    for axis, size in enumerate(source.shape):
        bounds = st.integers(-size - 2, size + 2)
        first, last = data.draw(bounds), data.draw(bounds)
        stride = data.draw(st.sampled_from([-3, -1, 1, 2]))
        kind = data.draw(st.sampled_from(["plain", "begin", "end", "both", "shrink"]))
        part: slice | int = slice(
            None if kind in ("begin", "both") else first, None if kind in ("end", "both") else last, stride
        )
        if kind == "shrink":
            part, stride = first % size if -size <= first < size else 0, 1
            first = int(part)
            masks[2] |= 1 << axis
        elif not len(range(size)[part]):
            part, kind, stride = slice(None), "both", 1
        masks[0] |= (kind in ("begin", "both")) << axis
        masks[1] |= (kind in ("end", "both")) << axis
        begin, end, step, parts = [*begin, first], [*end, last], [*step, stride], [*parts, part]
    result = source[tuple(parts)]
    fields = {"beginMask": masks[0], "endMask": masks[1], "shrinkAxisMask": masks[2]}
    moved("STRIDED_SLICE", source, np.asarray(result), [begin, end, step], options="StridedSlice", **fields)


@given(source=tensors(), data=st.data())
def test_a_transposition_is_numpys(source: Array, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(source.ndim)))
    moved("TRANSPOSE", source, source.transpose(order), [list(order)], options="Transpose")


@given(source=tensors(), data=st.data())
def test_a_repetition_is_numpys_or_refused_where_too_much_moves_apart(
    source: Array, data: st.DataObject
) -> None:
    times = data.draw(st.lists(st.integers(1, 3), min_size=source.ndim, max_size=source.ndim))
    try:
        moved("TILE", source, np.tile(source, times), [times], options="Tile")
    except CodegenError as error:
        assert "more than 6 dimensions" in error.what and sum(n > 1 for n in times) > 2


@pytest.mark.parametrize(
    ("constants", "text"),
    [
        ([[0, 0], [2, 3], [0, 1]], "do not fit"),
        ([[0], [1], [1, 1]], "do not fit"),
        ([[0, 3], [1, 3], [1, 1]], "nothing is left"),
    ],
)
def test_a_slice_that_makes_no_sense_is_refused(constants: list[object], text: str) -> None:
    with pytest.raises(CodegenError, match=f"layer 0 STRIDED_SLICE .*{text}"):
        moved("STRIDED_SLICE", np.zeros((2, 3)), np.zeros((1, 1)), constants, options="StridedSlice")


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 1, 3], [0, 1]])
def test_a_transposition_that_is_none_is_refused(order: list[int]) -> None:
    with pytest.raises(CodegenError, match=r"layer 0 TRANSPOSE .*once each"):
        moved("TRANSPOSE", np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), [order], options="Transpose")


def enlarged(change: Callable[[GraphBuilder, int], int] | None = None) -> bytes:
    """UpSampling2D of an open image as TensorFlow 1 wrote it: size = SHAPE(image)[1:3] * 2."""
    g = GraphBuilder((1, 3, 4, 2), Q)
    shape = g.operator("SHAPE", [g.source], g.activation((4,), None, "INT32"), "Shape", outType=2)
    bounds = [g.constant(ints([n])) for n in (1, 3, 1)]
    size = g.operator("STRIDED_SLICE", [shape, *bounds], g.activation((2,), None, "INT32"), "StridedSlice")
    if change is not None:
        size = change(g, size)
    twice = g.operator("MUL", [size, g.constant(ints([2, 2]))], g.activation((2,), None, "INT32"), "Mul")
    output = g.activation((1, 6, 8, 2), Q)
    return g.finish(g.operator("RESIZE_NEAREST_NEIGHBOR", [g.source, twice], output, "ResizeNearestNeighbor"))


def test_arithmetic_on_shapes_is_gone_before_code_is_written() -> None:
    def again(g: GraphBuilder, size: int) -> int:
        """Apart, together and back: PACK, CONCATENATION, ADD and SUB."""
        parts = []
        for i in (0, 1):
            bounds = [g.constant(ints([n])) for n in (i, i + 1, 1)]
            output = g.activation((), None, "INT32")
            parts.append(
                g.operator("STRIDED_SLICE", [size, *bounds], output, "StridedSlice", shrinkAxisMask=1)
            )
        packed = g.operator("PACK", parts, g.activation((2,), None, "INT32"), "Pack", valuesCount=2, axis=0)
        more = g.operator("ADD", [packed, g.constant(ints([5]))], g.activation((2,), None, "INT32"), "Add")
        less = g.operator("SUB", [more, g.constant(ints([5]))], g.activation((2,), None, "INT32"), "Sub")
        doubled = g.activation((4,), None, "INT32")
        g.operator("CONCATENATION", [less, size], doubled, "Concatenation", axis=0)
        bounds = [g.constant(ints([n])) for n in (0, 2)]
        return g.operator("SLICE", [doubled, *bounds], g.activation((2,), None, "INT32"), "Slice")

    for model in (enlarged(), enlarged(again)):
        plain = simplify(read_model(model))
        assert [op.name for op in plain.operators] == ["RESIZE_NEAREST_NEIGHBOR"]
        assert plain.tensors[plain.operators[0].inputs[1]].int32_values().tolist() == [6, 8]
        assert make_plan(read_model(model), "auto").layers[0].struct == "sf_resize_nearest_t"


def test_a_product_of_many_integers_is_left_alone_and_refused() -> None:
    def many(g: GraphBuilder, size: int) -> int:
        column, row = (g.constant(np.ones(s, np.int32)) for s in ((3000, 1), (1, 3000)))
        return g.operator("MUL", [column, row], g.activation((2,), None, "INT32"), "Mul")

    with pytest.raises(CodegenError, match="layer 2 MUL"):
        make_plan(read_model(enlarged(many)), "auto")
