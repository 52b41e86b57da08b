"""Operators of networks that users bring against both references, bit for bit; and tables over all codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.batch import build_batch
from codegen.brought_models import MODELS
from codegen.golden import litert_reference, make_images, request_for, tflm
from codegen.graph_builder import GraphBuilder
from semflash_codegen import generate
from semflash_codegen.operators import LOWER, Context
from semflash_codegen.tflite_reader import read_model

_SEEDS = 24
_IMAGES = 10
#: TFLite-Micro, as packaged, has no such operator: LiteRT's reference kernels decide.
WITHOUT_TFLM = ("TILE",)
#: LiteRT computes these in floating point: one step of difference here and there. TFLite-Micro is followed.
DIFFERENT_IN_LITERT = ("LOGISTIC",)
ALL_CODES = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("name", MODELS)
def test_random_models_give_the_bytes_of_tflite_micro_and_litert(
    name: str, tmp_path: Path, host_kernels: Path
) -> None:
    models = [MODELS[name](np.random.default_rng([seed, len(name)])) for seed in range(_SEEDS)]
    runners = build_batch(tmp_path, [generate(request_for(model)) for model in models], host_kernels)
    values = set()
    for seed, (model, runner) in enumerate(zip(models, runners, strict=True)):
        graph = read_model(model)
        images = make_images(graph.tensors[graph.inputs[0]].shape, _IMAGES, seed)
        got = runner.run(images)
        if name not in WITHOUT_TFLM:
            assert np.array_equal(got, tflm(model, images)), f"seed {seed}"
        if name not in DIFFERENT_IN_LITERT:
            assert np.array_equal(got, litert_reference(model, images)), f"seed {seed}"
        values |= set(np.unique(got).tolist())
    assert len(values) > 100, "models whose outputs hardly vary test nothing"


def one_value(
    name: str, source: tuple[float, int], output: tuple[float, int], constant: tuple[int, float, int] | None
) -> bytes:
    """An operator of one image of all codes, and of one constant (value, scale, zero point)."""
    shape = ALL_CODES.shape
    g = GraphBuilder(shape, source)
    inputs = [g.source]
    if constant is not None:
        inputs.append(g.constant(np.array([constant[0]], np.int8), constant[1:]))
    options = None if constant is None else name.title()
    return g.finish(g.operator(name, inputs, g.activation(shape, output), options))


def table_of(model: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.integer]]:
    """What the generator computes for the codes -128..127."""
    graph = read_model(model)
    (layer,) = (LOWER[op.name](Context(graph, "reference"), op) for op in graph.operators)
    assert layer.struct == "sf_lookup_t"
    return layer.arrays[0].values


codes = st.integers(-128, 127)
scales = st.floats(-4.0, 0.8).map(lambda exponent: float(np.float32(10.0**exponent)))
ratios = st.floats(-1.4, 1.4).map(lambda exponent: 10.0**exponent)


@pytest.mark.parametrize(("name", "output"), [("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0))])
@given(scale=scales, zero=codes)
def test_a_table_of_a_curve_is_tflite_micros_for_every_code(
    name: str, output: tuple[float, int], scale: float, zero: int
) -> None:
    model = one_value(name, (scale, zero), output, None)
    assert np.array_equal(table_of(model), tflm(model, ALL_CODES)[0])


@given(scale=scales, zero=codes, ratio=ratios, zero_out=codes)
def test_a_table_of_hard_swish_is_tflite_micros_for_every_code(
    scale: float, zero: int, ratio: float, zero_out: int
) -> None:
    model = one_value("HARD_SWISH", (scale, zero), (float(np.float32(scale * ratio)), zero_out), None)
    assert np.array_equal(table_of(model), tflm(model, ALL_CODES)[0])


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@given(scale=scales, zero=codes, ratio=ratios, other=ratios, constant=codes, zero_b=codes, zero_out=codes)
def test_an_operator_with_one_constant_is_a_table_with_tflite_micros_values(
    name: str, scale: float, zero: int, ratio: float, other: float, constant: int, zero_b: int, zero_out: int
) -> None:
    second = float(np.float32(scale * other))
    wide = scale * second * 128 if name == "MUL" else scale
    model = one_value(
        name, (scale, zero), (float(np.float32(wide * ratio)), zero_out), (constant, second, zero_b)
    )
    assert np.array_equal(table_of(model), tflm(model, ALL_CODES)[0])
