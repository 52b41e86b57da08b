"""`semflash run` and `build` of a .tflite file: values in, values out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codegen.graph_builder import GraphBuilder
from semflash.bench.bare_run import End, noise_inputs, read_inputs
from semflash.bench.reference import golden_payloads, reference_name
from semflash.bench.run import read_subject
from semflash.cli.main import main
from semflash.errors import DatasetError
from semflash.firmware.building.bare_model import read_bare_model

SHAPE = (1, 6, 5, 2)
Q = (0.5, 3)
END = End(SHAPE[1:], *Q)


def quantised(scale: float, zero_point: int) -> object:
    """Quantisation of one tensor as the schema has it."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    quant = schema.QuantizationParametersT()
    quant.scale, quant.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)
    return quant


def network(place: Path, *, unsigned: bool = False) -> Path:
    """A maximum over 2x2 pixels, with int8 or uint8 ends."""
    g = GraphBuilder(SHAPE, Q, "UINT8" if unsigned else "INT8")
    image = g.source
    if unsigned:
        g.graph.tensors[g.source].quantization = quantised(Q[0], Q[1] + 128)
        image = g.operator("QUANTIZE", [g.source], g.activation(SHAPE, Q), "Quantize")
    window = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    pool = g.operator("MAX_POOL_2D", [image], g.activation((1, 5, 4, 2), Q), "Pool2D", **window)
    path = place / "maximum.tflite"
    path.write_bytes(g.finish(pool))
    return path


def maximum(images: np.ndarray) -> np.ndarray:
    """What the network computes, in numpy."""
    rows = np.maximum(images[:, 1:], images[:, :-1])
    return np.maximum(rows[:, :, 1:], rows[:, :, :-1])


@pytest.mark.parametrize("unsigned", [False, True])
def test_run_gives_what_the_network_computes_of_the_inputs(
    unsigned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tflite_micro")
    images = np.random.default_rng(3).integers(-128, 128, (2, *SHAPE[1:])).astype(np.int8)
    np.save(tmp_path / "images.npy", images)
    command = ["run", str(network(tmp_path, unsigned=unsigned)), "--board", "native", "--check-golden"]
    command += ["--input", str(tmp_path / "images.npy"), "--out", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert [outcome["values"] for outcome in result["outcomes"]] == maximum(images).reshape(2, -1).tolist()
    assert all(outcome["equal"] for outcome in result["outcomes"])
    assert result["output"] == {"shape": [5, 4, 2], "scale": 0.5, "zero_point": 3}
    assert result["reference"] == "tflite-micro"
    assert main(command[:-1]) == 0
    assert "checked     2 of 2 outputs equal tflite-micro" in capsys.readouterr().out


def test_build_takes_a_network_without_a_codec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build", str(network(tmp_path)), "--board", "native", "--out", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["bundle_name"] == "maximum"


def test_noise_goes_in_where_nothing_is_named_and_is_the_same_by_seed(tmp_path: Path) -> None:
    bundle = read_subject(str(network(tmp_path)))
    first, again, other = (noise_inputs(bundle, 3, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (np.full(SHAPE, 7, np.int8), 7),
        (np.full(SHAPE[1:], 135, np.uint8), 7),
        (np.full(SHAPE, 2.0, np.float32), 7),
        (np.full(SHAPE, 1e9), 127),
        (np.full(SHAPE, -1e9), -128),
    ],
)
def test_inputs_are_codes_or_real_numbers(values: np.ndarray, codes: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values)
    found = read_inputs(tmp_path / "x.npy", END)
    assert found.dtype == np.int8 and found.shape == SHAPE and (found == codes).all()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((6, 5), np.int8), "does not hold inputs of the shape"),
        (np.zeros((0, *SHAPE[1:]), np.int8), "does not hold inputs of the shape"),
        (np.zeros(SHAPE, np.int32), "neither int8, uint8 nor real"),
        (np.full(SHAPE, np.nan), "NaN"),
        (np.array([{"a": 1}], object), "cannot read inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(values: np.ndarray, text: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    with pytest.raises(DatasetError, match=text) as caught:
        read_inputs(tmp_path / "x.npy", END)
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00\xff\xff"])
def test_a_file_that_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DatasetError, match="cannot read inputs"):
        read_inputs(tmp_path / "x.npy", END)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--ber", "0.1"], "--ber is for bundles"),
        (["--dataset", "mnist"], "--dataset is for bundles"),
        (["--record", "x.jsonl"], "--record is for bundles"),
        (["--loop"], "--loop is for bundles"),
        (["--count", "0"], "1 to 100,000"),
        (["--count", "2", "--input", "x.npy"], "exclude each other"),
    ],
)
def test_flags_of_a_decoder_are_refused(
    flags: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(network(tmp_path)), "--board", "native", *flags]) == 2
    printed = capsys.readouterr().err
    assert text in printed and "try: " in printed


def test_monitor_of_a_network_names_the_verb_that_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", str(network(tmp_path))]) == 2
    assert "semflash run" in capsys.readouterr().err
    assert main(["run", "mnist-12", "--input", "x.npy"]) == 2
    assert "--input is for .tflite files" in capsys.readouterr().err


def test_an_output_larger_than_a_frame_goes_out_whole(tmp_path: Path) -> None:
    g = GraphBuilder((1, 64, 64, 2), Q)
    path = tmp_path / "wide.tflite"
    path.write_bytes(g.finish(g.operator("RELU", [g.source], g.activation((1, 64, 64, 2), Q))))
    whole, cut = read_bare_model(path, whole=True), read_bare_model(path)
    assert (whole.program.payload.regions[0].bits, whole.payload_bytes) == (8, 8192)
    assert cut.program.payload.regions[0].bits == 4


def test_what_tflite_micro_lacks_is_compared_with_litert(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    times = np.array([1, 2, 1, 1], np.int32)
    g = GraphBuilder(SHAPE, Q)
    repeated = g.operator("TILE", [g.source, g.constant(times)], g.activation((1, 12, 5, 2), Q), "Tile")
    g.model.operatorCodes[0].version = 3  # what converters write; BUILTIN_REF registers 2
    path = tmp_path / "repeated.tflite"
    path.write_bytes(g.finish(repeated))
    bundle = read_subject(str(path))
    assert reference_name(bundle) == "LiteRT BUILTIN_REF"
    images = np.random.default_rng(1).integers(0, 256, (2, *SHAPE[1:]), dtype=np.uint8)
    assert np.array_equal(golden_payloads(bundle, images), np.tile(images, (1, 2, 1, 1)).reshape(2, -1))
    assert reference_name(read_subject(str(network(tmp_path)))) == "tflite-micro"
