"""Plans, tables and the generated text of the streaming engine."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from codegen.fused.batch import streamed
from codegen.fused.fixed_models import fixed_model, fixed_text, resnet_head
from codegen.fused.random_models import random_model
from codegen.fused.tflite_builder import Builder
from codegen.golden import request_for
from semflash_codegen import generate
from semflash_codegen.errors import UnsupportedModelError
from semflash_codegen.fused.chain import find_chain
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.tables import Gather, coefficients, group_words, groups
from semflash_codegen.fused.writer import write
from semflash_codegen.tflite_reader import read_model

GOLDEN = Path(__file__).with_name("golden_model.c.txt")


def test_every_byte_of_a_kernel_row_is_used_exactly_once() -> None:
    for rows in range(1, 8):
        for run in range(1, 40):
            order = Gather(rows, run).order()
            inside = [e for step in order for e in step if e is not None and e[1] < run]
            assert sorted(inside) == [(r, b) for r in range(rows) for b in range(run)], (rows, run)
            assert len(order) == Gather(rows, run).steps


def test_slots_of_a_group_hold_the_channels_0_2_1_3_and_the_last_group_comes_first() -> None:
    assert groups(6) == [[4, None, 5, None], [0, 2, 1, 3]]


def test_mixed_tables_hold_two_channels_per_halfword() -> None:
    weights = np.arange(1, 9, dtype=np.int64).reshape(4, 1, 2)
    assert group_words(weights, [((0, 0), (0, 1)), None], [0, 2, 1, 3], mixed=True) == [
        0x06020501,
        0x08040703,
        0,
        0,
    ]
    assert group_words(-weights, [((0, 0), (0, 1))], [0, 2, 1, 3], mixed=True) == [
        (-2 - 256 * 6 & 0xFFFF) << 16 | (-1 - 256 * 5 & 0xFFFF),
        (-4 - 256 * 8 & 0xFFFF) << 16 | (-3 - 256 * 7 & 0xFFFF),
    ]
    assert group_words(weights, [((0, 0), (0, 1))], [0, 2, 1, 3], mixed=False) == [
        0x00020001,
        0x00060005,
        0x00040003,
        0x00080007,
    ]


def test_a_missing_channel_of_the_last_group_gives_zero_words() -> None:
    item = streamed(fixed_model())
    form = item.plan.stages[0].form
    assert isinstance(form, CheapForm)
    assert coefficients(form, [None])[:2] == [0, 0]


def test_generating_twice_gives_the_same_bytes() -> None:
    for seed in (3, 5, 8):
        model = random_model(seed)
        assert write(streamed(model).plan) == write(streamed(model).plan)


def test_the_text_of_the_fixed_model_is_the_golden_one() -> None:
    assert fixed_text() == GOLDEN.read_text(encoding="utf-8"), "if the change is meant, run: make golden"


def test_a_head_with_124_million_macs_is_generated_in_five_seconds_and_runs_in_20_kilobytes() -> None:
    start = time.monotonic()
    item = streamed(resnet_head())
    write(item.plan)
    assert time.monotonic() - start < 5
    assert item.plan.state_bytes < 20_000
    assert [stage.kind for stage in item.plan.stages] == ["whole", "max", "accumulate"]


def test_a_dilated_convolution_does_not_stream_and_the_report_says_why() -> None:
    builder = Builder((8, 8, 3), 1 / 255, -128)
    rng = np.random.default_rng(0)
    builder.conv(
        rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        np.zeros(4, np.int32),
        np.full(4, 0.01, np.float32),
        stride=(1, 1),
        same=True,
        activation="relu",
        scale=0.05,
        zero=-128,
    )
    builder.graph.operators[0].builtinOptions.dilationHFactor = 2
    builder.graph.operators[0].builtinOptions.dilationWFactor = 2
    model = builder.finish()
    assert "dilation 2x2" in find_chain(read_model(model)).reason
    report = generate(request_for(model, "auto")).report
    assert "not streamed" in report.layers[0].why and "dilation 2x2" in report.layers[0].why
    assert report.layers[0].kernel != "fused"
    with pytest.raises(UnsupportedModelError, match="no layer can stream"):
        generate(request_for(model, "fused"))


def test_the_report_names_kernel_and_reason_of_every_streaming_layer() -> None:
    report = generate(request_for(fixed_model(), "auto")).report
    assert report.engine == "aot/fused"
    assert {layer.kernel for layer in report.layers} == {"fused"}
    rectified, signed = (layer.why for layer in report.layers)
    assert "; ReLU requantisation, shift " in rectified
    assert "; signed requantisation, int8 weights mixed in pairs" in signed
    assert report.cmsis_sources == ()
