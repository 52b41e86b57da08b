"""Numbers that other parts rely on, by hand: alignment, table words, sizes; rules of the engine `tflm`."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from codegen.golden import load, request_for, request_with, table_tail
from codegen.graph_builder import GraphBuilder
from semflash_codegen import generate
from semflash_codegen.errors import CodegenError, RequestError, UnsupportedModelError
from semflash_codegen.fused.tables import group_words, groups, pair
from semflash_codegen.memory_plan import ALIGNMENT, Buffer, place
from semflash_codegen.passes import validate
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflm.generate import _operators, _validate
from semflash_codegen.tflm.glue import object_bytes

Q = (0.05, -3)


def test_buffers_begin_where_the_device_promises_eight_bytes() -> None:
    assert ALIGNMENT == 8
    arena = place([Buffer("a", 3, 0, 1), Buffer("b", 9, 0, 1), Buffer("c", 1, 1, 2)])
    assert sorted(arena.offsets.values()) == [0, 16, 24] and arena.size_bytes in (25, 32)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0, 0, 0), (-1, 1, 0x1FFFF), (32767, -32768, 0x80007FFF), (-32768, 32767, 0x7FFF8000)],
)
def test_two_weights_are_one_little_endian_word(low: int, high: int, word: int) -> None:
    assert pair(low, high) == word


@pytest.mark.parametrize("values", [(-32769, 0), (32768, 0), (0, -32769), (0, 32768)])
def test_weights_that_do_not_fit_int16_are_never_cut(values: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit int16"):
        pair(*values)


def test_words_of_a_group_leave_out_what_lies_outside_the_kernel() -> None:
    weights = np.arange(1, 13, dtype=np.int64).reshape(2, 2, 3)  # channels, rows, run
    members = [0, None, 1, None]
    inside, right, below = [((0, 0), (1, 2))], [((0, 3), (0, 2))], [((2, 0), (1, 0))]
    assert group_words(weights, inside, members, mixed=False) == [pair(1, 6), 0, pair(7, 12), 0]
    assert group_words(weights, right, members, mixed=False) == [pair(0, 3), 0, pair(0, 9), 0]
    assert group_words(weights, below, members, mixed=False) == [pair(0, 4), 0, pair(0, 10), 0]
    mixed = group_words(weights, inside, [0, 1, None, None], mixed=True)
    assert mixed == [pair(1 + 256 * 7, 6 + 256 * 12), 0], "two channels share each half"
    assert groups(5)[0].count(None) == 3 and sorted(c for g in groups(5) for c in g if c is not None) == [
        0,
        1,
        2,
        3,
        4,
    ]


def relu(shape: tuple[int, ...]) -> bytes:
    g = GraphBuilder(shape, Q)
    return g.finish(g.operator("RELU", [g.source], g.activation(shape, Q)))


def test_a_row_of_more_bytes_than_the_device_counts_is_refused() -> None:
    validate(read_model(relu((1, 1, 255, 257))))  # 65,535
    with pytest.raises(UnsupportedModelError, match="larger than 65535 bytes"):
        validate(read_model(relu((1, 1, 256, 256))))


@pytest.mark.parametrize("arena", [None, -1])
def test_the_engine_tflm_needs_a_measured_arena(arena: int | None) -> None:
    data = load("enc32")
    request = request_with(data, table_tail(data), engine="tflm", arena_bytes=arena)
    with pytest.raises(RequestError, match="arena"):
        generate(request)
    assert generate(replace(request, arena_bytes=0)).report.arena_bytes > 0


def test_the_engine_tflm_refuses_a_graph_without_operators_and_shapes_it_does_not_know() -> None:
    empty = GraphBuilder((1, 4, 4, 2), Q)
    with pytest.raises(UnsupportedModelError, match="computes nothing"):
        _operators(read_model(empty.finish(empty.source)))
    for shape in ((1, 6), (1, 2, 3), (1, 4, 4, 2)):
        _validate(read_model(relu(shape)))
    for shape in ((6,), (2, 6), (2, 4, 4, 2)):
        with pytest.raises(CodegenError, match="static shape with batch 1"):
            _validate(read_model(relu(shape)))


def test_the_objects_of_the_engine_tflm_take_256_bytes_and_48_for_each_operator() -> None:
    # sizeof of MicroInterpreter and of a resolver's entry on a 32-bit core, rounded up; the C++ asserts them.
    assert [object_bytes(n) for n in (0, 1, 8, 40)] == [256, 304, 640, 2176]


def test_a_request_checks_its_program() -> None:
    request = request_for(load("enc32"))
    broken = msgspec.structs.replace(request.program, image="nothing")
    with pytest.raises(RequestError):
        replace(request, program=broken).check()
