"""Projections and power normalisation on their way from real numbers to a device program."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from semflash.codecs.device_side import (  # noqa: E402
    IMAGE,
    DeviceSpec,
    GdnTailSpec,
    GraphSpec,
    NormaliseStage,
    ProjectionStage,
    TableTailSpec,
    TailStage,
)
from semflash.conversion import values  # noqa: E402
from semflash.conversion.device import (  # noqa: E402
    QuantisedDevice,
    codes_by_formula,
    gdn_inside,
    quantise_device,
    real_values,
    sent_codes,
)
from semflash.conversion.graphs import Int8Output  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.errors import ExportError  # noqa: E402
from semflash.export.proof import run_device, to_int8  # noqa: E402
from semflash.program.checks import check_program  # noqa: E402
from semflash.program.controls import Control  # noqa: E402
from semflash.program.layout import Layout, Region  # noqa: E402
from semflash.program.payload import decode  # noqa: E402
from semflash.program.quality import Ber, Snr  # noqa: E402
from semflash.program.reference.projection import project  # noqa: E402
from semflash.program.reference.receive import values as received_values  # noqa: E402
from semflash.program.reference.run import run  # noqa: E402
from semflash.program.tensors import Codes, Values  # noqa: E402
from semflash.program.value_checks import check_projection  # noqa: E402
from semflash.runtime.reference import ReferenceGraph  # noqa: E402

STATES, CHANNELS, OUTPUTS = 3, 12, 2
REACH = 4 * float(np.sqrt(0.5))
STATE = Control("state", 1, 0, STATES - 1, 1, "entry", follows=(-6.0, 0.0, 6.0))


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 256, (400, 4, 4, 1)), np.ones((1, 4, 4, 1)))
    split = Split(blocks.astype(np.uint8), np.zeros(400, np.int32))
    return Dataset("blocks", split, split, split, ("a", "b"))


@pytest.fixture(scope="module")
def network() -> Any:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(CHANNELS, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, x)


def projection(reach: float | None = None, output: str = "projected") -> ProjectionStage:
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 0.5, (STATES, OUTPUTS, CHANNELS)).astype(np.float32)
    bias = rng.normal(0, 0.1, (STATES, OUTPUTS)).astype(np.float32)
    return ProjectionStage("latent", output, weights, bias, "state", reach)


def symbols(network: Any) -> DeviceSpec:
    return DeviceSpec(
        network,
        ("latent",),
        (
            GraphSpec("encoder", IMAGE, "latent"),
            projection(),
            NormaliseStage("projected", "symbols", REACH),
        ),
        Layout((Region("symbols", 8),)),
        Snr(-6.0, 18.0),
        (STATE,),
    )


def bits(network: Any) -> DeviceSpec:
    centres = np.linspace(-1, 1, 8).astype(np.float32)
    tail = TableTailSpec.nearest_centre(centres, np.ones(OUTPUTS, np.float32))
    stages = (GraphSpec("encoder", IMAGE, "latent"), projection(), TailStage("projected", "codes", tail))
    return DeviceSpec(network, ("latent",), stages, Layout((Region("codes", 3),)), Ber(0.0, 0.06), (STATE,))


def on_device(device: QuantisedDevice, images: np.ndarray, state: int) -> Any:
    graph = ReferenceGraph(device.models["encoder"], "encoder")
    return run(device.program, to_int8(images), lambda _, x: graph.run_all(x), {"state": state})


def test_symbols_of_the_device_are_those_of_the_formula_for_each_state(network: Any, data: Dataset) -> None:
    spec = symbols(network)
    device = quantise_device(spec, data)
    check_program(device.program)
    images = data.val.images[:100]
    real = real_values(spec, images.astype(np.float32) / np.float32(255))
    found = {}
    for state in range(STATES):
        sent = on_device(device, images, state)
        wanted = codes_by_formula(spec, real, {"state": state})["symbols"]
        found[state] = sent.tensors["symbols"].astype(int)
        difference = np.abs(found[state] - wanted)
        assert wanted.dtype == np.int8 and difference.mean() < 1.0 and difference.max() <= 8
        back = decode(device.program, sent.sent.payloads, sent.sent.bits)
        power = (received_values(device.program, back, "symbols") ** 2).mean()
        assert power == pytest.approx(0.5, rel=0.03)
    assert (found[0] != found[2]).mean() > 0.5
    assert (
        sent_codes(device.program, run_device(device, images).tensors) == found[1].reshape(100, -1) % 256
    ).all()


def test_a_tail_behind_a_projection_gives_the_codes_of_the_formula(network: Any, data: Dataset) -> None:
    spec = bits(network)
    device = quantise_device(spec, data)
    images = data.val.images[:100]
    real = real_values(spec, images.astype(np.float32) / np.float32(255))
    for state in range(STATES):
        found = on_device(device, images, state).tensors["codes"].astype(int)
        wanted = codes_by_formula(spec, real, {"state": state})["codes"]
        assert (found != wanted).mean() < 0.1 and np.abs(found - wanted).max() <= 1
    assert isinstance(device.program.tensor("codes").holds, Codes)
    assert gdn_inside(spec) is spec


def test_the_reach_of_a_projection_is_the_largest_value_of_any_state(network: Any, data: Dataset) -> None:
    spec = symbols(network)
    program = quantise_device(spec, data).program
    holds = program.tensor("projected").holds
    assert isinstance(holds, Values) and holds.zero_point == 0
    chosen = np.random.default_rng(300).permutation(400)[:300]
    latent = network.predict(data.train.images[chosen].astype(np.float32) / 255, verbose=0)
    stage = projection()
    largest = max(np.abs(latent @ w.T + b).max() for w, b in zip(stage.weights, stage.bias, strict=True))
    assert 127 * holds.scale == pytest.approx(largest, rel=1e-3)
    given = dataclasses.replace(spec, stages=(spec.stages[0], projection(2.54), spec.stages[2]))
    holds = quantise_device(given, data).program.tensor("projected").holds
    assert isinstance(holds, Values) and holds.scale == pytest.approx(0.02)


@pytest.mark.parametrize("seed", range(20))
def test_integers_of_a_projection_give_its_real_values_within_a_step_and_a_half(seed: int) -> None:
    """Against float64 with the same int8 source; the weights' own rounding is bounded beside."""
    rng = np.random.default_rng(seed)
    channels, outputs = int(rng.integers(1, 64)), int(rng.integers(1, 9))
    weights = rng.normal(0, 10 ** rng.uniform(-3, 2), (2, outputs, channels))
    bias = rng.normal(0, 10 ** rng.uniform(-4, 3), (2, outputs))
    weights[0, 0] = 0.0
    stage = ProjectionStage("latent", "out", weights, bias, "state")
    source = Int8Output((1, 1, channels), float(10 ** rng.uniform(-3, 0)), int(rng.integers(-128, 128)))
    latent = rng.integers(-128, 128, (500, channels)).astype(np.int8)
    real = (latent.astype(np.float64) - source.zero_point) * source.scale
    reach = max(np.abs(real @ w.T + b).max() for w, b in zip(weights, bias, strict=True))
    output = values.projected(stage, source, float(reach))
    made = values.quantise_projection(stage, source, output)
    for table, w, b in zip(made.tables, weights, bias, strict=True):
        check_projection(table, channels, outputs, source.zero_point)
        found = project(latent, table, source.zero_point, 0) * output.scale
        step = np.maximum(np.abs(w).max(axis=1) / 127, np.abs(b) / (source.scale * (1 << 24)))
        rounding = step / 2 * (np.abs(real).sum(axis=1, keepdims=True) + source.scale)
        assert (np.abs(found - (real @ w.T + b)) <= 1.5 * output.scale + rounding).all()


def test_normalised_values_have_half_the_power_each_and_zeros_stay_zeros() -> None:
    stage = NormaliseStage("a", "b", REACH)
    real = np.random.default_rng(1).normal(0, 7, (50, 4, 4, 2))
    real[3] = 0
    found = values.normalise(stage, real)
    power = (found**2).reshape(50, -1).mean(axis=1)
    assert (found[3] == 0).all() and power[np.arange(50) != 3] == pytest.approx(0.5, rel=1e-9)
    assert values.to_int8(np.array([REACH, -REACH, 9e9, REACH / 254, -REACH / 254]), REACH).tolist() == [
        *(127, -127, 127, 1, -1)
    ]


def test_what_cannot_be_quantised_is_said(network: Any, data: Dataset) -> None:
    spec = symbols(network)

    def with_projection(**fields: Any) -> DeviceSpec:
        changed = dataclasses.replace(projection(), **fields)
        return dataclasses.replace(spec, stages=(spec.stages[0], changed, *spec.stages[2:]))

    with pytest.raises(ExportError, match=r"needs weights \(S, J, 12\)"):
        quantise_device(with_projection(weights=np.ones((3, 2, 5), np.float32)), data)
    with pytest.raises(ExportError, match="not finite"):
        quantise_device(with_projection(bias=np.full((3, 2), np.nan, np.float32)), data)
    with pytest.raises(ExportError, match="no range"):
        quantise_device(with_projection(reach=0.0), data)
    zeros = np.zeros((3, 2, 12), np.float32)
    with pytest.raises(ExportError, match="no range"):
        quantise_device(with_projection(weights=zeros, bias=zeros[..., 0]), data)
    with pytest.raises(ExportError, match="beyond its reach"):
        quantise_device(with_projection(weights=zeros + np.float32(1e12), reach=1e-6), data)
    with pytest.raises(ExportError, match="out of range"):
        tiny = dataclasses.replace(spec.stages[2], reach=1e-6)
        quantise_device(dataclasses.replace(spec, stages=(*spec.stages[:2], tiny)), data)
    latent = real_values(spec, data.val.images[:2].astype(np.float32))
    projected = dataclasses.replace(spec, stages=spec.stages[:2], payload=Layout((Region("projected", 8),)))
    program = quantise_device(projected, data).program
    with pytest.raises(ExportError, match="reach of their own"):
        sent_codes(program, codes_by_formula(projected, latent))


def test_gdn_behind_a_projection_cannot_go_into_the_graph(network: Any) -> None:
    ones = np.ones(OUTPUTS, np.float32)
    gdn = GdnTailSpec(ones, np.eye(OUTPUTS, dtype=np.float32), ones, np.linspace(-1, 1, 8))
    spec = bits(network)
    spec = dataclasses.replace(spec, stages=(*spec.stages[:2], TailStage("projected", "codes", gdn)))
    with pytest.raises(ExportError, match="behind the graph itself"):
        gdn_inside(spec)


def test_a_projection_behind_a_projection_needs_a_reach(network: Any, data: Dataset) -> None:
    rng = np.random.default_rng(2)
    second = ProjectionStage("projected", "again", rng.normal(size=(1, 4, 2)), np.zeros((1, 4)))
    spec = dataclasses.replace(symbols(network), payload=Layout((Region("again", 8),)))
    chained = dataclasses.replace(spec, stages=(*spec.stages[:2], second))
    with pytest.raises(ExportError, match="calibrated behind a graph only"):
        quantise_device(chained, data)
    given = dataclasses.replace(chained, stages=(*spec.stages[:2], dataclasses.replace(second, reach=4.0)))
    device = quantise_device(given, data)
    images = data.val.images[:50]
    real = real_values(given, images.astype(np.float32) / np.float32(255))
    wanted = codes_by_formula(given, real)["again"].astype(int)
    assert np.abs(on_device(device, images, 1).tensors["again"] - wanted).max() <= 4
