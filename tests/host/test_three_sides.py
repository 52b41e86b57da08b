"""Families that are not SemanticNN, from Keras to device and edge: several graphs, an order, a cut."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("tensorflow", reason="the converter of int8 graphs is TensorFlow's")

from fakes.untrained import Untrained, export_untrained, images  # noqa: E402
from semflash.bundle.reader import Bundle, read_bundle  # noqa: E402
from semflash.data.dataset import Split  # noqa: E402
from semflash.edge.decoder import EdgeDecoder  # noqa: E402
from semflash.edge.golden import GoldenEncoder  # noqa: E402
from semflash.edge.preprocess import to_int8  # noqa: E402
from semflash.firmware.boards.descriptions import load_board  # noqa: E402
from semflash.firmware.building.firmware import build, build_bundle  # noqa: E402
from semflash.firmware.building.options import BuildOptions  # noqa: E402
from semflash.firmware.emulator.native import NativeDevice, NativePort  # noqa: E402
from semflash.link.outcome import Received  # noqa: E402
from semflash.link.port import Port, open_port  # noqa: E402
from semflash.link.session import Expected, Session  # noqa: E402
from semflash.monitor.monitor import MonitorOptions, monitor  # noqa: E402
from semflash.monitor.replay import replay  # noqa: E402

Exported = tuple[Untrained, Bundle]


@pytest.fixture(scope="module", params=["agilenn", "limitnet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_untrained(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def limitnet(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_untrained("limitnet", tmp_path_factory.mktemp("cut"))


@pytest.fixture(scope="module")
def native(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> NativeDevice:
    out = tmp_path_factory.mktemp("native")
    return NativeDevice(build(exported[1].path, load_board("native"), out_dir=out / "build").image_path)


def test_the_bundle_reads_back_and_its_graphs_are_parts_of_one_quantised_network(exported: Exported) -> None:
    made, bundle = exported
    assert read_bundle(bundle.path) == bundle
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0
    ends = {graph.outputs[0] for graph in bundle.program.graphs}
    assert set(made.codec.device().values) == ends and len(ends) > 1


def test_the_native_device_sends_the_golden_payloads(exported: Exported, native: NativeDevice) -> None:
    bundle, pictures = exported[1], images(60, seed=9)
    sent = native.encode(to_int8(pictures, bundle.image_shape))
    np.testing.assert_array_equal(sent, GoldenEncoder(bundle).payloads(pictures))
    assert len(np.unique(sent, axis=0)) > 30


def test_the_edge_gives_what_keras_gives_for_the_same_codes(exported: Exported) -> None:
    made, bundle = exported
    pictures = images(40, seed=3)
    run = GoldenEncoder(bundle).run(pictures)
    regions = [run.tensors[region.source] for region in bundle.program.payload.regions]
    codes = np.concatenate([each.reshape(len(each), -1) for each in regions], axis=1).astype(np.int32)
    quality = np.full((len(codes), 1), 0.01, np.float32)
    expected = keras.ops.convert_to_numpy(made.codec.outputs(made.tail, codes, quality))
    found = EdgeDecoder(bundle).logits(run.sent.payloads, 0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_control_cuts_the_payload_at_any_byte_on_device_and_edge(
    limitnet: Exported, tmp_path: Path
) -> None:
    bundle, pictures = limitnet[1], images(12, seed=4)
    (limit,) = bundle.program.controls
    device = NativeDevice(build(bundle.path, load_board("native"), out_dir=tmp_path / "build").image_path)
    golden, pixels = GoldenEncoder(bundle), to_int8(pictures, bundle.image_shape)
    whole = golden.run(pictures).sent
    for size in range(limit.low, limit.high + 1):
        expected = golden.run(pictures, {limit.name: size}).sent
        sent = device.send(pixels, {limit.id: size})
        np.testing.assert_array_equal(sent.bits, expected.bits)
        assert [bytes(each) for each in sent] == [bytes(each) for each in expected]
        assert (expected.bits <= 8 * size).all() and (expected.bits > 8 * size - 3).all()
        # What is cut off is the end of the whole payload, the part that matters least.
        kept = int(expected.bits[0]) // 8
        np.testing.assert_array_equal(expected.payloads[:, :kept], whole.payloads[:, :kept])


def test_what_was_cut_off_is_neutral_to_the_decoder(limitnet: Exported) -> None:
    made, bundle = limitnet
    pictures = images(12, seed=6)
    codec, limit = made.codec, bundle.program.controls[0]
    size = (limit.low + limit.high) // 2
    sent = GoldenEncoder(bundle).run(pictures, {limit.name: size}).sent
    found = EdgeDecoder(bundle).logits(sent.payloads, 0.0, bits=sent.bits)
    run = GoldenEncoder(bundle).run(pictures)
    regions = [run.tensors[region.source] for region in bundle.program.payload.regions]
    codes = np.concatenate([each.reshape(len(each), -1) for each in regions], axis=1).astype(np.int32)
    erased = np.arange(codes.shape[1]) >= sent.bits[:, None] // codec.bits_per_code()
    expected = codec.outputs(made.tail, codes, np.zeros((len(codes), 1), np.float32), erased)
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-3, atol=1e-3)


def check_cuts_over_the_link(bundle: Bundle, port: Port, sizes: range) -> None:
    """Every payload is what the reference sends with the controls that the device says it used."""
    (limit,) = bundle.program.controls
    pictures, golden = images(len(sizes), seed=8), GoldenEncoder(bundle)
    pixels = to_int8(pictures, bundle.image_shape)
    session = Session(port, Expected.of(bundle), timeout_s=20.0)
    for number, size in enumerate(sizes):
        session.set_controls({limit.name: size})
        (found,) = session.stream([(number, pixels[number])])
        expected = golden.run(pictures[number : number + 1], {limit.name: size}).sent
        assert isinstance(found, Received) and found.controls == {limit.name: size}
        assert (found.payload, found.bits) == (next(iter(expected)), int(expected.bits[0]))
    own = [(n, pixels[n], {limit.name: size}) for n, size in enumerate(sizes)]
    for found in session.stream(own):
        assert isinstance(found, Received) and found.controls == {limit.name: sizes[found.index]}
        expected = golden.run(pictures[found.index : found.index + 1], found.controls).sent
        assert (found.payload, found.bits) == (next(iter(expected)), int(expected.bits[0]))
    assert session.counters.controls_missed == 0 and not session.counters.refused


@pytest.mark.parametrize("fragment", [0, 5])
def test_the_payload_is_cut_over_the_link(limitnet: Exported, tmp_path: Path, fragment: int) -> None:
    bundle = limitnet[1]
    (limit,) = bundle.program.controls
    options = BuildOptions(out_dir=tmp_path / "build", fragment_bytes=fragment, device_id="0a1b")
    library = build_bundle(bundle, load_board("native"), options).image_path
    with NativePort(library, timeout=0.05) as port:
        session = Session(port, Expected.of(bundle))
        hello = session.connect()
        assert hello.device_id == "0a1b" and hello.controls == (limit.id,) and hello.prefix == 1
        check_cuts_over_the_link(bundle, port, range(limit.low, limit.high + 1))


def test_the_monitor_decodes_what_was_cut_with_the_values_that_were_used(
    limitnet: Exported, tmp_path: Path
) -> None:
    bundle, pictures = limitnet[1], images(30, seed=2)
    (limit,) = bundle.program.controls
    size = (limit.low + limit.high) // 2
    labels = np.arange(30, dtype=np.int32) % 10
    built = build_bundle(bundle, load_board("native"), BuildOptions(out_dir=tmp_path / "b", fragment_bytes=9))
    options = MonitorOptions(
        count=30,
        controls={limit.name: size},
        check_golden=True,
        assumed=0.0,
        record_path=tmp_path / "run.jsonl",
        raw_path=tmp_path / "run.sfraw",
    )
    with NativePort(built.image_path, timeout=0.05) as port:
        done = monitor(bundle, port, Split(pictures, labels), options)
    tally = done.progress.tally
    assert done.error is None and (tally.golden_checked, tally.golden_wrong) == (30, 0)
    records = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    found = {r["index"]: r for r in records if r["kind"] == "image"}
    sent = GoldenEncoder(bundle).run(pictures, {limit.name: size}).sent
    logits = EdgeDecoder(bundle).logits(sent.payloads, 0.0, bits=sent.bits)
    assert len(found) == 30
    for index, record in found.items():
        assert record["controls"] == {limit.name: size} and record["bits"] == sent.bits[index]
        assert record["predicted"] == int(logits[index].argmax())
    again = replay(bundle, tmp_path / "run.sfraw", assumed=0.0)
    assert (again.images, again.changed, again.strange) == (30, 0, 0)


@pytest.mark.emulated
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="the emulated board needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_the_payload_is_cut_over_the_link_of_the_emulated_board(
    limitnet: Exported, tmp_path: Path, own_emulators: Path
) -> None:
    from semflash.firmware.emulator import emulator

    bundle = limitnet[1]
    (limit,) = bundle.program.controls
    options = BuildOptions(out_dir=tmp_path / "build", fragment_bytes=11, device_id="c0ffee")
    built = build_bundle(bundle, load_board("qemu-stm32f405"), options)
    state = emulator.start_build(built, instance="steered")
    try:
        with open_port(state.port) as port:
            assert Session(port, Expected.of(bundle)).connect().device_id == "c0ffee"
            check_cuts_over_the_link(bundle, port, range(limit.low, limit.high + 1, 5))
    finally:
        emulator.discard("steered")


@pytest.mark.emulated
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="the emulated board needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_the_emulated_board_sends_the_golden_payloads(
    exported: Exported, tmp_path: Path, own_emulators: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from semflash.cli.main import main

    path, board = str(exported[1].path), "qemu-stm32f405"
    assert main(["bench", path, "--board", board, "--images", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["codes_checked"], found["codes_wrong"]) == (8, 0)
