"""The monitor with a device that really encodes (the reference, behind a fake link), and with faults."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.link_device import CODES, FAULT, HELLO, FakeDevice, build, entries, on_wire, read_entries
from semflash.bundle import Bundle, read_bundle
from semflash.channels.of_quality import channel_of
from semflash.data.sample import balanced
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.labeller import inject
from semflash.edge.preprocess import to_int8
from semflash.errors import DatasetError, StorageError, UsageError, WrongFirmwareError
from semflash.link.errors import PortVanishedError
from semflash.monitor.live_table import PlainLines, choose_view, print_summary
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CHANNEL = channel_of(read_bundle(TINY).quality)
COUNT = 150


@dataclass(frozen=True)
class Images:
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def split(bundle: Bundle) -> Images:
    rng = np.random.default_rng(5)
    shape = (COUNT, *bundle.image_shape)
    classes = len(bundle.contract.class_names)
    return Images(rng.integers(0, 256, shape, np.uint8), rng.integers(0, classes, COUNT).astype(np.int32))


@pytest.fixture(scope="module")
def golden(bundle: Bundle, split: Images) -> dict[bytes, bytes]:
    """Image as the device sees it -> payload."""
    payloads = GoldenEncoder(bundle).payloads(split.images)
    pixels = to_int8(split.images, bundle.image_shape)
    return {image.tobytes(): bytes(payload) for image, payload in zip(pixels, payloads, strict=True)}


def device_of(bundle: Bundle, golden: dict[bytes, bytes], **options: Any) -> FakeDevice:
    height, width, channels = bundle.image_shape
    return FakeDevice(
        bundle=bundle.hash32,
        rows=height,
        row_bytes=width * channels,
        payload_bytes=bundle.payload_bytes,
        rows_per_frame=height // 2,
        encode=options.pop("encode", golden.__getitem__),
        **options,
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_without_errors_the_accuracy_equals_evaluate(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    result = monitor(bundle, device_of(bundle, golden), split, MonitorOptions(count=COUNT))

    @dataclass(frozen=True)
    class Data:
        test: Images
        name: str = "random"

    measured = evaluate(bundle, Data(split), (0.0,)).measurement.points[0].score.value
    assert result.progress.tally.value == measured
    assert result.exit_code == 0
    assert result.device_link is not None


def test_every_image_is_recorded_with_its_own_label_and_payload(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    options = MonitorOptions(count=COUNT, level=0.05, seed=3, record_path=path, check_golden=True)
    result = monitor(bundle, device_of(bundle, golden), split, options)
    first, *images, last = lines_of(path)
    assert (first["kind"], first["bundle_hash"], first["board"]) == ("session", bundle.hash_hex, "fake-board")
    assert sorted(line["index"] for line in images) == list(range(COUNT))
    pixels = to_int8(split.images, bundle.image_shape)
    flips = 0
    for line in images:
        payload, noisy = bytes.fromhex(line["payload"]), bytes.fromhex(line["payload_noisy"])
        assert payload == golden[pixels[line["index"]].tobytes()]
        different = sum(bin(a ^ b).count("1") for a, b in zip(payload, noisy, strict=True))
        assert different == line["flips"]
        assert line["label"] == split.labels[line["index"]]
        assert (line["golden_equal"], line["damaged"], line["ticks"], line["count"]) == (
            True,
            False,
            1000,
            3000,
        )
        flips += different
    assert last["kind"] == "end"
    assert (last["bits_flipped"], last["received"], last["golden"]["different"]) == (flips, COUNT, 0)
    assert last["accuracy"] == sum(line["label"] == line["predicted"] for line in images) / COUNT
    assert 0.03 < result.progress.tally.flipped_share < 0.07  # type: ignore[operator]


def test_injected_errors_depend_on_seed_and_index_alone(bundle: Bundle) -> None:
    payload = bytes(range(48))
    assert inject(CHANNEL, payload, 0.1, 7, 3) == inject(CHANNEL, payload, 0.1, 7, 3)
    assert inject(CHANNEL, payload, 0.1, 7, 3) != inject(CHANNEL, payload, 0.1, 7, 4)
    assert inject(CHANNEL, payload, 0.1, 8, 3) != inject(CHANNEL, payload, 0.1, 7, 3)
    assert inject(CHANNEL, payload, 0.0, 7, 3) == (payload, 0)


def test_losses_and_repeats_do_not_change_what_is_injected(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    def noisy(path: Path, **options: Any) -> dict[int, str]:
        device = device_of(bundle, golden, **options)
        monitor(bundle, device, split, MonitorOptions(count=40, level=0.02, record_path=path))
        return {line["index"]: line["payload_noisy"] for line in lines_of(path) if line["kind"] == "image"}

    seen = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        seen += kind == CODES
        return [] if kind == CODES and seen % 5 == 0 else [on_wire(raw)]

    assert noisy(tmp_path / "a.jsonl") == noisy(tmp_path / "b.jsonl", fault=fault)


def test_a_device_that_encodes_differently_is_found_out(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    calls = 0

    def encode(image: bytes) -> bytes:
        nonlocal calls
        calls += 1
        right = golden[image]
        return right if calls != 7 else bytes([right[0] ^ 0x80]) + right[1:]

    result = monitor(
        bundle, device_of(bundle, golden, encode=encode), split, MonitorOptions(count=20, check_golden=True)
    )
    tally, seventh = result.progress.tally, int(balanced(split.labels, 20)[6])
    assert (tally.golden_checked, tally.golden_wrong, tally.golden_wrong_images) == (20, 1, [seventh])
    assert result.exit_code == 1
    text = io.StringIO()
    print_summary(result, text)
    assert f"differ from the golden reference: images {seventh}" in text.getvalue()


def test_payloads_damaged_on_the_link_are_flagged_used_and_not_blamed_on_the_device(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    def fault(kind: int, raw: bytes) -> list[bytes]:
        return [on_wire(raw[:17] + bytes([raw[17] ^ 1]) + raw[18:] if kind == CODES else raw)]

    path = tmp_path / "run.jsonl"
    options = MonitorOptions(count=10, check_golden=True, record_path=path)
    result = monitor(bundle, device_of(bundle, golden, fault=fault), split, options)
    tally = result.progress.tally
    assert (tally.damaged, tally.labelled, tally.golden_checked, tally.golden_wrong) == (10, 10, 0, 0)
    assert all(line["damaged"] for line in lines_of(path)[1:-1])


def test_what_came_before_the_port_vanished_is_kept(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    device = device_of(bundle, golden)
    device.vanished = PortVanishedError("the port vanished")
    device.vanish_after = 60
    path = tmp_path / "run.jsonl"
    result = monitor(bundle, device, split, MonitorOptions(count=COUNT, record_path=path))
    assert isinstance(result.error, PortVanishedError)
    assert result.exit_code == 3
    tally = result.progress.tally
    assert 0 < tally.labelled == tally.received < COUNT
    lines = lines_of(path)
    assert len(lines) == tally.labelled + 2
    assert (lines[-1]["ended_by"], lines[-1]["unanswered"]) == ("PortVanishedError", COUNT - tally.received)


def test_ctrl_c_ends_with_a_summary(bundle: Bundle, split: Images, golden: dict[bytes, bytes]) -> None:
    device = device_of(bundle, golden)
    device.vanished = KeyboardInterrupt()  # type: ignore[assignment]
    device.vanish_after = 40
    result = monitor(bundle, device, split, MonitorOptions(count=COUNT))
    assert result.exit_code == 130
    assert result.progress.tally.labelled > 0


def test_lost_images_are_counted_and_give_exit_code_3(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    fourth = int(balanced(split.labels, 20)[3])
    bad = to_int8(split.images, bundle.image_shape)[fourth].tobytes()

    def encode(image: bytes) -> bytes:
        return b"" if image == bad else golden[image]  # codes of the wrong size, every time

    path = tmp_path / "run.jsonl"
    device = device_of(bundle, golden, encode=encode)
    result = monitor(bundle, device, split, MonitorOptions(count=20, record_path=path, timeout_s=1.0))
    assert (result.progress.tally.lost, result.progress.tally.labelled, result.exit_code) == (1, 19, 3)
    assert {"kind": "lost", "index": fourth, "attempts": 3} in lines_of(path)


def test_a_failed_hello_leaves_earlier_records_alone(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("earlier\n")
    device = device_of(bundle, golden)
    device.bundle ^= 1
    with pytest.raises(WrongFirmwareError):
        monitor(bundle, device, split, MonitorOptions(count=3, record_path=path))
    assert path.read_text() == "earlier\n"


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0.6},
        {"level": float("nan")},
        {"assumed": -1.0},
        {"count": 0},
        {"count": COUNT + 1},
        {"seed": -1},
        {"timeout_s": 0.0},
        {"record_path": Path("/no/such/folder/run.jsonl")},
        {"record_path": Path("/")},
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_the_board_is_touched(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], options: dict[str, Any]
) -> None:
    device = device_of(bundle, golden)
    device.vanish_after = 0
    with pytest.raises(UsageError):
        monitor(bundle, device, split, MonitorOptions(**{"count": 5, **options}))


def test_images_of_the_wrong_size_and_foreign_labels_are_refused(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    device = device_of(bundle, golden)
    with pytest.raises(DatasetError):
        monitor(bundle, device, Images(split.images[:, :-1], split.labels), MonitorOptions(count=5))
    with pytest.raises(DatasetError, match="classes"):
        monitor(bundle, device, Images(split.images, split.labels + 1000), MonitorOptions(count=5))


def run_with(bundle: Bundle, split: Images, golden: dict[bytes, bytes], **options: Any) -> MonitorResult:
    return monitor(bundle, device_of(bundle, golden), split, MonitorOptions(count=30, **options))


def test_the_summary_says_what_is_injected_and_what_it_cost(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    text = io.StringIO()
    print_summary(run_with(bundle, split, golden, level=0.02, assumed=0.1), text)
    shown = text.getvalue()
    for words in ("30 of 30", "injected", "BER 0.02 (seed 0)", "is told", "3,000 per image", "fake-board"):
        assert words in shown


def test_what_a_board_is_called_is_neither_markup_nor_a_crash(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    device = device_of(bundle, golden)
    hello = device.hello

    def named() -> bytes:
        return entries(*(read_entries(hello()) | {11: b"[/x][red]evil"}).items())

    device.hello = named  # type: ignore[method-assign]
    text = io.StringIO()
    print_summary(monitor(bundle, device, split, MonitorOptions(count=3)), text)
    assert "[/x][red]evil" in text.getvalue()


def test_a_crash_that_the_board_tells_of_is_shown_and_recorded_once(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    device = device_of(bundle, golden)
    registers = (0x20001000, *range(5), 0x08000123, 0x08000456, 0, 1 << 25, 0, 0, 0)  # sp, r0 .. bfar
    crash = struct.pack("<17I", 1, 0xB1D, 3, 0xFFFFFFF9, *registers)
    device.fault = lambda kind, raw: (
        [on_wire(raw), *([on_wire(build(FAULT, crash, bundle=bundle.hash32, sequence=1))] * 2)]
        if kind == HELLO
        else [on_wire(raw)]
    )
    text = io.StringIO()
    options = MonitorOptions(count=5, record_path=tmp_path / "r.jsonl")
    monitor(bundle, device, split, options, PlainLines(text))
    crashes = [line for line in lines_of(tmp_path / "r.jsonl") if line["kind"] == "crash"]
    assert [(c["pc"], c["cause"]) for c in crashes] == [(0x08000456, "division by zero")]
    assert text.getvalue().count("hard fault at pc 0x08000456") == 1


def test_plain_lines_come_at_their_time(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semflash.monitor.live_table._PLAIN_EVERY_S", 0.0)
    text = io.StringIO()
    monitor(bundle, device_of(bundle, golden), split, MonitorOptions(count=30), PlainLines(text))
    assert "30/30 images, accuracy " in text.getvalue()


def test_what_is_no_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(choose_view(io.StringIO()), PlainLines)
    assert isinstance(choose_view(Terminal()), PlainLines), "it says so, but it is none"


@pytest.mark.parametrize("kind", ["record_path", "raw_path"])
def test_on_a_full_disk_the_run_goes_on_and_says_at_the_end_that_it_was_not_recorded(
    kind: str, bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    options = MonitorOptions(count=30, **{kind: Path("/dev/full")})
    seen = io.StringIO()
    result = monitor(bundle, device_of(bundle, golden), split, options, PlainLines(seen))
    assert (result.progress.tally.labelled, result.error, result.exit_code) == (30, None, 1)
    (failure,) = result.progress.unrecorded
    assert isinstance(failure, StorageError) and failure.value == Path("/dev/full")
    print_summary(result, seen)
    assert seen.getvalue().count("unrecorded") == 2, "when it happens, and in the summary"
    assert "30 of 30" in seen.getvalue()
    assert len(result.as_dict()["unrecorded"]) == 1


def test_a_stream_that_is_full_does_not_end_the_run(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    with Path("/dev/full").open("w") as full:
        options = MonitorOptions(count=30, record_path=path)
        result = monitor(bundle, device_of(bundle, golden), split, options, stream=full)
        with pytest.raises(OSError, match="No space"):
            full.close()
    assert (result.progress.tally.labelled, result.exit_code) == (30, 1)
    assert [line["kind"] for line in lines_of(path)].count("image") == 30


def test_the_summary_is_plain_json(bundle: Bundle, split: Images, golden: dict[bytes, bytes]) -> None:
    values = json.loads(json.dumps(run_with(bundle, split, golden, level=0.01).as_dict()))
    assert (values["images"], values["ber_injected"], values["ended_by"]) == (30, 0.01, None)
    assert values["link"]["frames_ok"] > 0


def test_controls_that_the_bundle_does_not_have_are_refused_before_the_board_is_touched(
    bundle: Bundle, split: Images, golden: dict[bytes, bytes]
) -> None:
    device = device_of(bundle, golden)
    for controls, says in (({"bytes": 5}, "it has none but stream"), ({"stream": -1}, "stream takes 0 to")):
        with pytest.raises(UsageError, match=says):
            monitor(bundle, device, split, MonitorOptions(count=3, controls=controls))
    assert not device._out and device._sequence == 0
