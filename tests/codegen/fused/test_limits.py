"""Paddings and shapes at the ends of what the engine's descriptions hold: exact, or not streamed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.fused.batch import HostBatch, streamed
from codegen.fused.references import golden, inputs
from codegen.fused.tflite_builder import Builder
from semflash_codegen.fused.chain import find_chain
from semflash_codegen.fused.layers import Conv, Shape, Window
from semflash_codegen.fused.shapes import refusal
from semflash_codegen.tflite_reader import read_model


def _image(height: int, width: int, channels: int) -> Builder:
    return Builder((height, width, channels), 1 / 255, 5)


def _conv(
    builder: Builder,
    out: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    *,
    depthwise: bool = False,
) -> bytes:
    """The finished model with a VALID convolution at its end."""
    rng = np.random.default_rng(1)
    shape = (1, *kernel, out) if depthwise else (out, *kernel, builder.shape[2])
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    scale = 0.02 * float(np.sqrt(weights[0].size))
    build = builder.depthwise if depthwise else builder.conv
    build(
        weights,
        np.zeros(out, np.int32),
        np.full(out, 0.01, np.float32),
        stride=stride,
        same=False,
        activation="none",
        scale=scale,
        zero=3,
    )
    return builder.finish()


def _pool(builder: Builder, kind: str) -> bytes:
    return builder.pool(kind, (3, 3), stride=(1, 1), same=False).finish()


@pytest.mark.parametrize(
    "model",
    [
        _conv(_image(5, 5, 3).padv2((1, 1), (1, 1), -90), 4, (3, 3)),
        _conv(_image(5, 5, 3).padv2((2, 1), (0, 2), 127), 3, (3, 3), depthwise=True),
        _conv(_image(6, 6, 40).padv2((1, 1), (1, 1), -128), 4, (5, 5)),
        _pool(_image(5, 5, 3).padv2((1, 1), (1, 1), 90), "MAX_POOL_2D"),
        _pool(_image(5, 5, 3).padv2((1, 1), (1, 1), 90), "AVERAGE_POOL_2D"),
    ],
    ids=["convolution", "depthwise", "runs", "maximum", "average"],
)
def test_padding_of_another_value_than_the_zero_point_is_that_value(model: bytes, tmp_path: Path) -> None:
    images = inputs(model, 4, 1)
    micro, lite = golden(model, images)
    assert np.array_equal(micro, lite)
    got = HostBatch([streamed(model)], tmp_path).run(0, images)
    assert np.array_equal(got.reshape(micro.shape), micro)


def _rectified(height: int, width: int, activation: str = "relu") -> Builder:
    """A convolution with a bias that lets about half of its outputs end at the lowest value."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8)
    return _image(height, width, 3).conv(
        weights,
        rng.integers(-2000, 2000, 8).astype(np.int32),
        np.full(8, 0.01, np.float32),
        stride=(1, 1),
        same=True,
        activation=activation,
        scale=0.05,
        zero=-20,
    )


@pytest.mark.parametrize(
    ("builder", "kernel", "stride", "kind"),
    [
        (_rectified(8, 8).pad((1, 1), (1, 1)), (3, 3), (2, 2), "max"),
        (_rectified(9, 6).pad((1, 0), (0, 1)), (3, 3), (2, 2), "max"),
        (_rectified(7, 9).pad((1, 1), (1, 1)), (2, 2), (2, 2), "max"),
        (_rectified(6, 6).pad((2, 2), (2, 2)), (3, 3), (3, 2), "max"),
        (_rectified(8, 8).padv2((1, 1), (1, 1), -128), (3, 3), (2, 2), "max"),
        (_rectified(8, 8).padv2((1, 1), (1, 1), -19), (3, 3), (2, 2), "max ring"),
        (_rectified(8, 8, "none").pad((1, 1), (1, 1)), (3, 3), (2, 2), "max ring"),
        (_rectified(8, 8).pad((1, 5), (1, 1)), (3, 3), (2, 2), "max ring"),
        (_rectified(8, 8).pad((1, 1), (3, 1)), (3, 3), (2, 2), "max ring"),
    ],
    ids=["resnet", "one-sided", "even", "wide", "lowest", "above", "no-relu", "empty-last", "empty-first"],
)
def test_a_maximum_behind_padding_that_never_wins_keeps_no_ring(
    builder: Builder, kernel: tuple[int, int], stride: tuple[int, int], kind: str, tmp_path: Path
) -> None:
    model = builder.pool("MAX_POOL_2D", kernel, stride=stride, same=False).finish()
    images = inputs(model, 6, 1)
    micro, lite = golden(model, images)
    assert np.array_equal(micro, lite)
    item = streamed(model)
    assert item.plan.stages[-1].kind == kind
    got = HostBatch([item], tmp_path).run(0, images)
    assert np.array_equal(got.reshape(micro.shape), micro)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (_conv(_image(1, 2, 20_000), 1, (1, 1), (4, 4)), "from column to column"),
        (_conv(_image(4, 4, 2).pad((0, 300), (0, 0)), 3, (3, 3)), "rows or columns of padding"),
        (
            _pool(_image(4, 4, 2).pad((0, 0), (300, 0)), "MAX_POOL_2D"),
            "rows or columns of padding",
        ),
        (_conv(_image(3, 3, 1), 300, (2, 2), depthwise=True), "output channels per input channel"),
    ],
    ids=["wide steps", "rows below", "columns left", "depth multiplier"],
)
def test_numbers_beyond_the_fields_of_a_description_do_not_stream(model: bytes, reason: str) -> None:
    assert reason in find_chain(read_model(model)).reason


@pytest.mark.parametrize(
    "model",
    [
        _conv(_image(4, 4, 2).pad((0, 255), (0, 0)), 3, (3, 3)),
        _pool(_image(4, 4, 2).pad((0, 0), (255, 0)), "MAX_POOL_2D"),
        _image(9, 9, 2).pool("AVERAGE_POOL_2D", (255, 255), stride=(1, 1), same=True).finish(),
        _conv(_image(300, 300, 1), 2, (3, 3), (200, 255)),
        _conv(_image(3, 3, 1), 255, (2, 2), depthwise=True),
    ],
    ids=["rows below", "columns left", "window", "stride", "depth multiplier"],
)
def test_the_largest_numbers_give_the_bytes_of_the_reference(model: bytes, tmp_path: Path) -> None:
    images = inputs(model, 2, 1)
    micro, _ = golden(model, images)
    got = HostBatch([streamed(model)], tmp_path).run(0, images)
    assert np.array_equal(got.reshape(micro.shape), micro)


def _one_channel(bias: int, shift: int, *, zero: int = -128) -> Conv:
    """A 1x1 convolution of one channel with weight -100."""
    one = Shape(4, 4, 1)
    return Conv(
        *("conv", one, one, Window((1, 1), (1, 1)), np.full((1, 1, 1, 1), -100, np.int8)),
        *(np.array([bias]), zero, 0, np.array([1 << 30]), np.array([shift])),
    )


@pytest.mark.parametrize(
    ("largest", "shift", "zero"),
    [
        # |bias| + 255 x 100 < 2^31, and with zero point 127 the bias grows by 255 x 100 first.
        ((1 << 31) - 1 - 25_500, -3, -128),
        ((1 << 31) - 1 - 2 * 25_500, 0, 127),
        ((1 << 28) - 1 - 25_500, 3, -128),
        ((1 << 23) - 1 - 25_500, 8, -128),
    ],
)
def test_accumulators_beyond_32_bits_do_not_stream(largest: int, shift: int, zero: int) -> None:
    assert refusal(_one_channel(largest, shift, zero=zero)) is None
    assert refusal(_one_channel(largest + 1, shift, zero=zero)) == "accumulators leave 32 bits"


def test_a_left_shift_beyond_the_tables_does_not_stream() -> None:
    assert refusal(_one_channel(0, 8)) is None
    assert refusal(_one_channel(0, 9)) == "accumulators leave 32 bits"


#: Runs the only model of a library on a black image, with the state's last byte before memory that is not to
#: be touched. Arguments: library, bytes of the state, of the image, of the output.
_GUARDED = """
import ctypes, mmap, sys
library, state_bytes, image_bytes, latent_bytes = sys.argv[1], *map(int, sys.argv[2:])
assert state_bytes % 8 == 0
size = -(-state_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
pages = mmap.mmap(-1, size + mmap.PAGESIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
system = ctypes.CDLL(None, use_errno=True)
assert system.mprotect(ctypes.c_void_p(start + size), mmap.PAGESIZE, 0) == 0
image, latent = ctypes.create_string_buffer(image_bytes), ctypes.create_string_buffer(latent_bytes)
state = ctypes.c_void_p(start + size - state_bytes)
assert ctypes.CDLL(library).batch_run(0, state, image, latent) == latent_bytes
"""


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "kind"),
    [
        # Kernel rows of 385 bytes go in four pieces of 100: the last one ends 15 bytes behind the row.
        ((7, 7, 55), (7, 7), (7, 7), "accumulate"),
        ((3, 7, 55), (3, 7), (1, 1), "chunked"),
        ((1, 1, 385), (1, 1), (1, 1), "rows"),
    ],
)
def test_what_the_last_piece_of_a_row_reads_too_much_lies_in_the_state(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], kind: str, tmp_path: Path
) -> None:
    item = streamed(_conv(_image(*shape), 1, kernel, stride))
    [stage] = item.plan.stages
    tables = stage.convs[0]
    assert stage.kind == kind and (tables.chunks, tables.gather.run) == (4, 100)
    HostBatch([item], tmp_path)
    sizes = [item.plan.state_bytes, int(np.prod(shape)), item.latent_bytes]
    command = [sys.executable, "-c", _GUARDED, str(tmp_path / "batch.so"), *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("width", "columns", "state"),
    [
        (8, 2, 24),  # of the counters 8, of the row 8, of the output 4 and 3 that a word may write too much
        (14, 3, 32),  # 8, 16, 5 and 3
    ],
)
def test_a_maximum_keeps_one_row_of_its_input_and_one_of_its_output(
    width: int, columns: int, state: int
) -> None:
    builder = _image(4, width, 1).pool("MAX_POOL_2D", (2, columns), stride=(2, columns), same=True)
    plan = streamed(builder.finish()).plan
    assert [stage.kind for stage in plan.stages] == ["max"]
    assert plan.state_bytes == state
