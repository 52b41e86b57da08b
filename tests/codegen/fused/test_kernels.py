"""The generated kernels, instruction by instruction, against LiteRT; no compiler or emulator takes part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.fused.batch import streamed
from codegen.fused.references import golden
from codegen.fused.tflite_builder import Builder
from codegen.fused.thumb import Machine
from semflash_codegen.fused import assembly, depthwise
from semflash_codegen.fused.convolution import MAX, ConvTables
from semflash_codegen.fused.layers import Conv
from semflash_codegen.fused.quads import quads
from semflash_codegen.fused.stages import Stage

_STACK_BYTES = 4096
_BEHIND = 32
"""Bytes between two things in memory, so that what is read or written too much meets neither."""


@dataclass
class Desk:
    """Memory with a stack at its beginning, and kernels that work in it."""

    memory: bytearray = field(default_factory=lambda: bytearray(b"\x5a" * _STACK_BYTES))

    def put(self, data: bytes) -> int:
        """Address of a copy of the data, a multiple of four."""
        address = len(self.memory)
        self.memory += data + b"\x5a" * (_BEHIND + -len(data) % 4)
        return address

    def words(self, values: Sequence[int]) -> tuple[int, int]:
        """Address of a table of words, and where it ends."""
        address = self.put(b"".join((value & 0xFFFFFFFF).to_bytes(4, "little") for value in values))
        return address, address + 4 * len(values)

    def call(self, lines: list[str], *fields: int) -> None:
        """Run a kernel; the fields are those of its call, the rows last."""
        argument, _ = self.words(fields)
        Machine(self.memory, _STACK_BYTES).call(lines, argument)

    def bytes_at(self, address: int, count: int) -> NDArray[np.uint8]:
        """A copy of what lies there."""
        return np.frombuffer(bytes(self.memory[address : address + count]), np.uint8)


def parts(width: int) -> list[tuple[int, int, bool]]:
    """(first column, pairs, odd) of the calls for one row, as device/kernels/fused_stages.c makes them."""
    pairs = [(0, width // 2, False)] if width > 1 else []
    return pairs + ([(width - 1, 1, True)] if width % 2 else [])


def whole_row(desk: Desk, tables: ConvTables, rows: list[int], out: int) -> None:
    """One row by a kernel that gives finished pixels."""
    layer, groups = tables.layer, tables.group_count
    lines = assembly.rows(tables) if tables.mode == "rows" else assembly.whole(tables)
    column, channels = layer.window.stride[1] * layer.source.channels, layer.output.channels
    per_pair = 1 if tables.store == MAX else 2
    runs = [row + chunk * tables.gather.run for row in rows for chunk in range(tables.chunks)]
    weights, sums = desk.words(tables.weights), desk.put(bytes(32 * groups))
    for first, pairs, odd in parts(tables.out_width or layer.output.width):
        out0 = out + first * per_pair // 2 * channels + 4 * (groups - 1)
        out1 = out0 if odd else out0 + channels
        step = per_pair * channels + 4 * groups
        at = [run + first * column for run in runs]
        desk.call(lines, *weights, out0, out1, sums, pairs, 0 if odd else column, 2 * column, step, *at)


def row_in_fours(desk: Desk, tables: ConvTables, rows: list[int], out: int) -> None:
    """One row by a kernel that computes four pixels at a time; the last four end where the row does."""
    layer, groups = tables.layer, tables.group_count
    column, channels = layer.window.stride[1] * layer.source.channels, layer.output.channels
    stored = 2 if tables.store == MAX else 4
    width = tables.out_width or layer.output.width
    weights = desk.words(tables.weights)
    for first, fours in [(0, width // 4), (width - 4, 1)]:
        out0 = out + first * stored // 4 * channels + 2 * (groups - 1)
        at = [row + first * column for row in rows]
        desk.call(quads(tables), *weights, out0, 0, 0, fours, column, 4 * column, 0, *at)


def summed_row(desk: Desk, tables: ConvTables, rows: list[int], out: int) -> None:
    """One row by a kernel that adds chunk after chunk to accumulators in memory."""
    layer = tables.layer
    column = layer.window.stride[1] * layer.source.channels
    sums, lines = started_sums(desk, tables), assembly.accumulate(tables)
    table, _ = desk.words(tables.weights)
    for row in rows:
        for chunk in range(tables.chunks):
            end = table + 4 * tables.chunk_words
            for first, pairs, odd in parts(layer.output.width):
                at = row + chunk * tables.gather.run + first * column
                place = sums + 16 * first * tables.group_count
                delta = 0 if odd else column
                desk.call(lines, table, end, 0, 0, place, pairs, delta, 2 * column, 0, at)
            table = end
    finish_row(desk, tables, sums, out)


def started_sums(desk: Desk, tables: ConvTables) -> int:
    """Address of accumulators that hold the bias: both pixels of two slots, then of the other two."""
    groups = [tables.bias[at : at + 4] for at in range(0, len(tables.bias), 4)]
    pair = [value for a, b, c, d in groups for value in (a, b, a, b, c, d, c, d)]
    return desk.words(pair * -(-tables.layer.output.width // 2))[0]


def finish_row(desk: Desk, tables: ConvTables, sums: int, out: int) -> None:
    """Accumulators of a row to its bytes."""
    groups, channels = tables.group_count, tables.layer.output.channels
    lines, coefficients = assembly.finish(tables), desk.words(tables.coefficients)
    for first, pairs, odd in parts(tables.layer.output.width):
        out0 = out + first * channels + 4 * (groups - 1)
        out1, place = out0 if odd else out0 + channels, sums + 16 * first * groups
        desk.call(lines, *coefficients, out0, out1, place, pairs, 0, 0, 2 * channels + 4 * groups)


def strip_row(desk: Desk, stage: Stage, rows: list[int], out: int) -> None:
    """One row of the second convolution out of the rows of the image."""
    (first, second), (above, below) = stage.convs, stage.layers
    assert isinstance(above, Conv) and isinstance(below, Conv)
    lines, weights = assembly.strip(first, second), desk.words(first.weights)
    sums, (table, _) = started_sums(desk, second), desk.words(second.weights)
    block = below.window.kernel[1] * above.window.stride[1] * above.source.channels
    for kernel_row in range(below.window.kernel[0]):
        begin = kernel_row * above.window.stride[0]
        used, end = rows[begin : begin + above.window.kernel[0]], table + 4 * second.chunk_words
        for column, pairs, odd in parts(below.output.width):
            at = [row + column * block for row in used]
            place = sums + 16 * column * second.group_count
            desk.call(lines, *weights, table, end, place, pairs, 0 if odd else block, *at)
        table = end
    finish_row(desk, second, sums, out)


def depthwise_row(desk: Desk, stage: Stage, rows: list[int], out: int) -> None:
    """One row of a depthwise convolution."""
    layer, form = stage.layers[0], stage.form
    assert isinstance(layer, Conv) and form is not None
    pixels, width = depthwise.pixels_at_once(layer, form), layer.output.width
    weights = desk.words(depthwise.table(layer, form))
    desk.call(depthwise.kernel(layer, form), *weights, out, 0, 0, -(-width // pixels), 0, 0, 0, *rows)


def first_row(stage: Stage, image: NDArray[np.int8]) -> NDArray[np.int8]:
    """The first row of a stage's output."""
    desk, output = Desk(), stage.layers[-1].output
    rows = [desk.put((row.astype(np.int16) + 128).astype(np.uint8).tobytes()) for row in image]
    out = desk.put(bytes(output.row_bytes))
    if stage.kind == "strip":
        strip_row(desk, stage, rows, out)
    elif stage.kind == "depthwise":
        depthwise_row(desk, stage, rows, out)
    elif stage.kind in ("chunked", "accumulate"):
        summed_row(desk, stage.convs[0], rows, out)
    else:
        high, stride = stage.kernel_rows, stage.stride_rows
        for begin in range(0, len(rows) - high + 1, stride):
            one_row = row_in_fours if stage.convs[0].mode == "quads" else whole_row
            one_row(desk, stage.convs[0], rows[begin : begin + high], out)
    return (desk.bytes_at(out, output.row_bytes).astype(np.int16) - 128).astype(np.int8)


def _conv(
    builder: Builder,
    out: int,
    kernel: tuple[int, int],
    stride: int = 1,
    *,
    activation: str = "none",
    deep: bool = False,
    lowest: int = -127,
    per_channel: bool = True,
) -> Builder:
    """A VALID convolution whose outputs use most of int8.

    deep: depthwise. lowest: weight; -128 cannot be mixed with another. per_channel: scales far enough apart
    for several shifts.
    """
    rng = np.random.default_rng([out, *kernel])
    depth = builder.shape[2]
    shape = (1, *kernel, depth) if deep else (out, *kernel, depth)
    weights = rng.integers(lowest, 128, shape).astype(np.int8)
    weights.reshape(-1)[0] = lowest
    channels = depth if deep else out
    fan_in = kernel[0] * kernel[1] * (1 if deep else depth)
    scale = float(np.float32(builder.quantisation[0] * np.sqrt(fan_in) * 0.6))
    build = builder.depthwise if deep else builder.conv
    return build(
        weights,
        rng.integers(-2000, 2000, channels).astype(np.int32),
        rng.uniform(0.004, 0.012 if per_channel else 0.0045, channels).astype(np.float32),
        stride=(stride, stride),
        same=False,
        activation=activation,
        scale=scale,
        zero=3 if activation == "none" else -120,
    )


def _image(height: int, width: int, channels: int, scale: float = 1 / 255) -> Builder:
    return Builder((height, width, channels), scale, 5)


CASES = {
    "adjacent columns, several turns": ("whole", _conv(_image(3, 8, 1), 64, (3, 3))),
    "even rows of three bytes": ("whole", _conv(_image(4, 6, 1), 8, (4, 3), activation="relu")),
    "one byte left, last pixel alone": ("whole", _conv(_image(5, 9, 1), 7, (5, 5), activation="relu")),
    "two bytes left": ("whole", _conv(_image(3, 8, 2, 1 / 32), 12, (3, 3), 2, activation="relu6")),
    "three bytes left": ("whole", _conv(_image(3, 11, 1), 5, (3, 7))),
    "whole words, wide steps": ("whole", _conv(_image(1, 5, 72), 6, (1, 1), 2)),
    "last pixel alone in a loop": ("whole", _conv(_image(3, 7, 8), 9, (3, 3))),
    "two by two maximum": (
        "pooled",
        _conv(_image(4, 9, 3), 20, (3, 3), activation="relu").pool(
            "MAX_POOL_2D", (2, 2), stride=(2, 2), same=False
        ),
    ),
    "maximum of many channels": (
        "pooled",
        _conv(_image(4, 9, 1), 32, (3, 3)).pool("MAX_POOL_2D", (2, 2), stride=(2, 2), same=False),
    ),
    "rows": ("rows", _conv(_image(3, 7, 40), 6, (3, 3))),
    "rows in pieces": ("rows", _conv(_image(1, 4, 385), 5, (1, 1), activation="relu")),
    "rows of int16": ("rows", _conv(_image(3, 7, 24), 6, (3, 3), lowest=-128)),
    "chunks": ("chunked", _conv(_image(3, 10, 55), 5, (3, 7))),
    "chunks of int16": ("chunked", _conv(_image(3, 10, 55), 5, (3, 7), lowest=-128, activation="relu")),
    "a whole patch of int16": ("whole", _conv(_image(3, 7, 8), 9, (3, 3), lowest=-128)),
    "a whole patch, mixed, in turns": ("whole", _conv(_image(3, 7, 24), 10, (3, 3))),
    "a whole patch, mixed, bytes left": ("whole", _conv(_image(3, 9, 9), 10, (3, 3), activation="relu6")),
    "fours": ("whole", _conv(_image(3, 10, 8), 8, (3, 3))),
    "fours, three pixels twice, a channel alone": ("whole", _conv(_image(1, 17, 36), 7, (1, 1))),
    "fours, one shift, wide steps": (
        "whole",
        _conv(_image(3, 17, 24), 6, (3, 3), 2, activation="relu", per_channel=False),
    ),
    "fours, bounded, one word": ("whole", _conv(_image(7, 12, 8, 1 / 32), 5, (7, 1), activation="relu6")),
    "maximum of fours": (
        "pooled",
        _conv(_image(4, 18, 12), 7, (3, 3)).pool("MAX_POOL_2D", (2, 2), stride=(2, 2), same=False),
    ),
    "accumulators": ("accumulate", _conv(_image(4, 20, 6), 6, (4, 4), 4, activation="relu")),
    "strip": ("strip", _conv(_conv(_image(4, 8, 3), 18, (3, 3), activation="relu"), 5, (2, 2), 2)),
    "depthwise": ("depthwise", _conv(_image(3, 5, 6), 0, (3, 3), deep=True)),
    "depthwise, an even row": ("depthwise", _conv(_image(3, 8, 8), 0, (3, 3), deep=True, activation="relu")),
    "depthwise, one pixel at a time": ("depthwise", _conv(_image(5, 9, 6), 0, (5, 5), deep=True)),
    "depthwise, wide steps": ("depthwise", _conv(_image(2, 13, 5), 0, (2, 4), 3, deep=True)),
    "depthwise, bounded": (
        "depthwise",
        _conv(_image(3, 7, 8, 1 / 32), 0, (3, 3), 2, activation="relu6", deep=True),
    ),
}
#: Depthwise tables are never small.
BOTH = [(name, small) for name in CASES for small in (False, True) if not (small and "depthwise" in name)]


@pytest.mark.parametrize(("name", "small"), BOTH)
def test_a_kernel_gives_the_bytes_of_the_reference(name: str, small: bool) -> None:
    kind, builder = CASES[name]
    model = builder.finish()
    rng = np.random.default_rng(4)
    images = rng.integers(-128, 128, (2, *builder.graph.tensors[0].shape[1:])).astype(np.int8)
    images[1] = rng.choice(np.array([-128, 127], np.int8), images[1].shape)
    micro, lite = golden(model, images)
    assert np.array_equal(micro, lite)
    [stage] = streamed(model, small=small).plan.stages
    assert stage.kind == kind or small
    for image, expected in zip(images, micro, strict=True):
        assert np.array_equal(first_row(stage, image), expected[0].reshape(-1))
    assert len(np.unique(micro)) > 8, "an output that hardly varies tests nothing"
