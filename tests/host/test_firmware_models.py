"""Encoders that a build must refuse, through the library and the verb: what, which value, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from codegen.graph_builder import GraphBuilder
from semflash.bundle import Bundle, read_bundle, write_bundle
from semflash.bundle.digest import file_ref
from semflash.bundle.packing import payload_size
from semflash.bundle.version1 import Contract1, DeviceGraph, FixedPayload, ImageInput
from semflash.cli.main import main
from semflash.conversion.gdn import quantise_tail
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import ModelError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator.native import NativeDevice, NativePort
from semflash.link.outcome import Received
from semflash.link.session import Expected, Session
from semflash.program.stages import TableTail

TESTS = Path(__file__).resolve().parents[1]
TINY = read_bundle(TESTS / "vectors" / "tiny.semcodec")
NATIVE = load_board("native")
Shape = tuple[int, int, int]


def write(place: Path, encoder: bytes, **changes: Any) -> Bundle:
    """The tiny bundle with another encoder; `changes` go into its contract."""
    graph = changes.pop("graph", TINY.written.device_graphs[0])
    graph = msgspec.structs.replace(graph, model=file_ref("encoder.tflite", encoder))
    contract: Contract1 = msgspec.structs.replace(
        TINY.written, name="other", device_graphs=[graph], **changes
    )
    files = {**TINY.files, "encoder.tflite": encoder}
    return write_bundle(place / "other.semcodec", contract, TINY.record, files)


def convolution(image: Shape, kernel: int, channels: int) -> bytes:
    """An encoder of one VALID convolution with stride = kernel."""
    height, width, depth = image
    rng = np.random.default_rng(3)
    graph = GraphBuilder((1, *image), (1 / 255, -128))
    weights = rng.integers(-90, 90, (channels, kernel, kernel, depth)).astype(np.int8)
    scales, bias = [0.01] * channels, rng.integers(-3000, 3000, channels).astype(np.int32)
    inputs = [graph.source, graph.constant(weights, (scales, 0))]
    inputs.append(graph.constant(bias, ([0.01 / 255] * channels, 0)))
    output = graph.activation((1, height // kernel, width // kernel, channels), (0.02, 3))
    fields = {"padding": 1, "strideH": kernel, "strideW": kernel, "dilationHFactor": 1, "dilationWFactor": 1}
    return graph.finish(graph.operator("CONV_2D", inputs, output, "Conv2D", **fields))


def one_convolution(place: Path, image: Shape, kernel: int, latent: Shape, levels: int = 8) -> Bundle:
    """A bundle around :func:`convolution`; `latent` is what its contract says."""
    encoder, bits = convolution(image, kernel, latent[2]), (levels - 1).bit_length()
    symbols = latent[0] * latent[1] * latent[2]
    table = np.tile(np.arange(256) * levels // 256, latent[2])
    return write(
        place,
        encoder,
        graph=DeviceGraph("encoder", file_ref("e", encoder), *latent, float(np.float32(0.02)), 3),
        input=ImageInput(*image, 1 / 255, -128),
        device_tail=TableTail(latent[2], levels, 3, [int(v) for v in table]),
        centres=[float(i) for i in range(levels)],
        payload=FixedPayload(symbols, bits, payload_size(symbols, bits)),
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("refused_exp", "operator EXP is not supported"),
        ("refused_float", "input is not int8 (got: float32)"),
        ("refused_two_inputs", "one input and one output (got: (2, 1))"),
        ("refused_dynamic", "has a dynamic shape"),
        ("conv_same", "is not what the bundle's contract says"),
    ],
)
def test_the_verb_refuses_an_encoder_that_cannot_run(
    model: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write(tmp_path, (TESTS / "codegen" / "models" / f"{model}.tflite").read_bytes())
    assert main(["build", str(bundle.path), "--board", "native", "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert text in printed and "try: " in printed and "internal error" not in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [0, 8, 100, 1000])
def test_a_damaged_encoder_with_matching_digests_is_a_model_error(cut: int, tmp_path: Path) -> None:
    encoder = TINY.models["encoder"][:8] + TINY.models["encoder"][8 + cut + 1 :]
    with pytest.raises(ModelError) as caught:
        build(write(tmp_path, encoder).path, NATIVE, out_dir=tmp_path / "out")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("image", "kernel", "latent", "text"),
    [
        ((8, 2048, 3), 8, (1, 256, 4), "an image row .* 4,092 bytes at most, 2,052 too many"),
        ((16, 32, 1), 4, (8, 4, 4), "output of graph encoder is not what"),
    ],
)
def test_a_graph_that_fits_neither_link_nor_contract_is_refused_before_compiling(
    image: Shape, kernel: int, latent: Shape, text: str, tmp_path: Path
) -> None:
    bundle = one_convolution(tmp_path, image, kernel, latent)
    with pytest.raises(ModelError, match=text):
        build(bundle.path, NATIVE, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_codes_that_no_frame_holds_come_in_fragments(tmp_path: Path) -> None:
    """4,608 bytes of codes over the link of board native, in two frames."""
    bundle = one_convolution(tmp_path, (128, 128, 1), 4, (32, 32, 12))
    built = build(bundle.path, NATIVE, out_dir=tmp_path / "out")
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 1), np.uint8)
    with NativePort(built.image_path, timeout=0.05) as port:
        session = Session(port, Expected.of(bundle))
        hello = session.connect()
        assert (hello.payload_bytes, hello.fragment_bytes, hello.prefix) == (4608, 4096 - 10 - 4, 1)
        found = list(session.stream(enumerate((images ^ 0x80).view(np.int8))))
    golden = GoldenEncoder(bundle, admitted=True).payloads(images)
    assert [each.payload for each in found if isinstance(each, Received)] == [row.tobytes() for row in golden]
    assert session.counters.frames_ok == 3 * (5 + 2 + 1), "CREDIT, codes and cost of each image"


def test_codes_that_end_within_a_byte_and_levels_that_are_no_power_of_two(tmp_path: Path) -> None:
    """3 x 3 x 5 codes of 5 levels: 135 bits, and three codes that stand for no centre."""
    bundle = one_convolution(tmp_path, (9, 9, 1), 3, (3, 3, 5), levels=5)
    built = build(bundle.path, NATIVE, out_dir=tmp_path / "out")
    images = np.random.default_rng(0).integers(0, 256, (100, 9, 9, 1), np.uint8)
    payloads = NativeDevice(built.image_path).encode((images ^ 0x80).view(np.int8))
    assert payloads.shape == (100, 17)
    assert not (payloads[:, -1] & 1).any()
    np.testing.assert_array_equal(payloads, GoldenEncoder(bundle, admitted=True).payloads(images))


@pytest.mark.parametrize("levels", [2, 3, 16])
def test_any_number_of_centres_runs_on_device_and_edge(levels: int, tmp_path: Path) -> None:
    graph = TINY.written.device_graphs[0]
    centres = np.float32(np.linspace(-0.9, 1.1, levels)).astype(np.float64)
    beta, gamma = np.full(4, 0.5), 0.1 + 0.3 * np.eye(4)
    tail = quantise_tail(beta, gamma, np.linspace(0.3, 0.7, 4), centres, graph.scale, graph.zero_point)
    bits = (levels - 1).bit_length()
    payload = FixedPayload(64, bits, payload_size(64, bits))
    encoder = TINY.models["encoder"]
    bundle = write(tmp_path, encoder, device_tail=tail, centres=centres.tolist(), payload=payload)
    built = build(bundle.path, NATIVE, kernels="reference", out_dir=tmp_path / "out")
    images = np.random.default_rng(1).integers(0, 256, (50, 28, 28, 1), np.uint8) // 64 * 64
    payloads = NativeDevice(built.image_path).encode((images ^ 0x80).view(np.int8))
    np.testing.assert_array_equal(payloads, GoldenEncoder(bundle).payloads(images))
    # A code beyond the last centre, which bit errors can make, stands for the last centre.
    decoder = EdgeDecoder(bundle)
    beyond = np.full((1, bundle.payload_bytes), 0xFF, np.uint8)
    last = np.unpackbits(np.array([levels - 1], np.uint8))[-bits:]
    at_last = np.packbits(np.tile(last, 64))[None]
    np.testing.assert_array_equal(decoder.logits(beyond, 0.05), decoder.logits(at_last, 0.05))
