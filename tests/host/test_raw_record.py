"""Raw recordings: bytes come back, a replay gives the run's labels, hostile files are refused."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes.link_device import CODES, HELLO_REQUEST, FakeDevice, build, on_wire
from semflash.bundle import Bundle, read_bundle
from semflash.cli.main import main
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.errors import SemflashError, UsageError
from semflash.link.raw_record import (
    FROM_DEVICE,
    MAGIC,
    NOTE,
    TO_DEVICE,
    RawReader,
    RawRecord,
    RawRecorder,
    RecordingPort,
)
from semflash.monitor.monitor import MonitorOptions, monitor
from semflash.monitor.replay import WrongBundleError, replay

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@dataclass(frozen=True)
class Images:
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def recorded(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A recording of 60 images, some codes lost, damaged and doubled; the labels of the run."""
    rng, count = np.random.default_rng(5), 60
    split = Images(rng.integers(0, 256, (count, *bundle.image_shape), np.uint8), np.zeros(count, np.int32))
    rows = to_int8(split.images, bundle.image_shape)
    payloads = map(bytes, GoldenEncoder(bundle).payloads(split.images))
    golden = {row.tobytes(): payload for row, payload in zip(rows, payloads, strict=True)}
    seen = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        seen += kind == CODES
        if kind == CODES and seen % 7 == 0:
            return []
        if kind == CODES and seen % 5 == 0:
            raw = raw[:18] + bytes([raw[18] ^ 2]) + raw[19:]
        return [on_wire(raw)] * (2 if kind == CODES and seen % 3 == 0 else 1)

    height, width, channels = bundle.image_shape
    device = FakeDevice(
        bundle=bundle.hash32,
        rows=height,
        row_bytes=width * channels,
        payload_bytes=bundle.payload_bytes,
        rows_per_frame=height // 2,
        encode=golden.__getitem__,
        fault=fault,
        pilot_bytes=4,
    )
    folder = tmp_path_factory.mktemp("raw")
    options = MonitorOptions(
        count=count, level=0.02, seed=9, raw_path=folder / "run.sfraw", record_path=folder / "run.jsonl"
    )
    monitor(bundle, device, split, options)
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    return folder / "run.sfraw", [line["predicted"] for line in lines if line["kind"] == "image"]


def test_a_replay_gives_the_labels_of_the_run(bundle: Bundle, recorded: tuple[Path, list[int]]) -> None:
    path, predicted = recorded
    result = replay(bundle, path)
    assert (result.images, result.changed, result.truncated, result.board) == (60, 0, False, "fake-board")
    assert result.correct == predicted.count(0)
    assert result.strange > 0 < result.damaged
    assert result.estimate is not None and result.estimate.low < 0.02 < result.estimate.high
    assert replay(bundle, path, level=0.5, assumed=0.0).changed > 0


def test_another_bundles_decoder_is_refused_by_its_hash(
    bundle: Bundle, recorded: tuple[Path, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    other = read_bundle("fashion-mnist-24")
    with pytest.raises(WrongBundleError, match=bundle.hash_hex[:8]):
        replay(other, recorded[0])
    assert main(["replay", str(recorded[0]), "--bundle", "fashion-mnist-24"]) == 1
    assert other.hash_hex[:8] in capsys.readouterr().err


def test_the_verb_prints_what_it_found(
    recorded: tuple[Path, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recorded[0]), "--bundle", str(TINY), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 60
    assert main(["replay", str(recorded[0]), "--bundle", str(TINY)]) == 0
    assert "60 images" in capsys.readouterr().out


def test_bytes_times_and_notes_come_back(tmp_path: Path) -> None:
    now = [10.0]
    device = FakeDevice()
    with RawRecorder(tmp_path / "a", {"bundle": "x"}, clock=lambda: now[0]) as recorder:
        port = RecordingPort(device, recorder)
        now[0] = 10.25
        port.write(b"down")
        device.say(b"up!")
        assert port.read(3) == b"up!"
        recorder.note({"index": 3})
        recorder.add(FROM_DEVICE, bytes(150_000))
    with RawReader(tmp_path / "a") as reader:
        first, second, third, *rest = reader.records()
        assert reader.header == {"version": 1, "bundle": "x"}
    assert first == RawRecord(TO_DEVICE, 0.25, b"down") and second == RawRecord(FROM_DEVICE, 0.25, b"up!")
    assert (third.kind, json.loads(third.data)) == (NOTE, {"index": 3})
    assert b"".join(record.data for record in rest) == bytes(150_000)


def test_a_file_that_was_cut_off_gives_what_is_whole(
    bundle: Bundle, recorded: tuple[Path, list[int]], tmp_path: Path
) -> None:
    data = recorded[0].read_bytes()
    for cut in (len(data) - 1, len(data) // 2):
        (tmp_path / "cut").write_bytes(data[:cut])
        assert replay(bundle, tmp_path / "cut").truncated


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a recording",
        MAGIC,
        MAGIC + struct.pack("<I", 2**32 - 1),
        MAGIC + struct.pack("<I", 4) + b"[1]]",
        MAGIC + struct.pack("<I", 13) + b'{"version":2}',
    ],
)
def test_what_is_no_recording_is_refused(bundle: Bundle, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UsageError, match="recording"):
        replay(bundle, tmp_path / "x")


@pytest.mark.parametrize("record", [struct.pack("<BQI", 3, 0, 1), struct.pack("<BQI", 0, 0, 2**32 - 1)])
def test_a_record_that_claims_too_much_is_refused(record: bytes, tmp_path: Path) -> None:
    header = b'{"version":1}'
    (tmp_path / "x").write_bytes(MAGIC + struct.pack("<I", len(header)) + header + record + b"abc")
    with RawReader(tmp_path / "x") as reader, pytest.raises(UsageError, match="claims"):
        list(reader.records())


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_damaged_recording_gives_an_answer_or_a_clear_error(
    bundle: Bundle, recorded: tuple[Path, list[int]], seed: int, flips: int
) -> None:
    rng = np.random.default_rng(seed)
    data = np.frombuffer(recorded[0].read_bytes(), np.uint8).copy()
    data[rng.integers(0, len(data), flips)] ^= rng.integers(1, 256, flips).astype(np.uint8)
    path = recorded[0].with_name("damaged.sfraw")
    path.write_bytes(data.tobytes())
    try:
        assert replay(bundle, path).images <= 60
    except SemflashError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["/tmp/evil", "../evil", ".", "a/b", "", "\x1b[2J", None, 7, ["x"]])
def test_a_recording_is_never_followed_to_a_path(
    name: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = json.dumps({"version": 1, "bundle": name}).encode()
    (tmp_path / "x").write_bytes(MAGIC + struct.pack("<I", len(header)) + header)
    assert main(["replay", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert "--bundle" in said and "\x1b" not in said


def test_a_hello_that_claims_longer_payloads_than_the_bundles_is_not_believed(
    bundle: Bundle, tmp_path: Path
) -> None:
    height, width, channels = bundle.image_shape
    size = bundle.payload_bytes + 8
    device = FakeDevice(
        bundle=bundle.hash32, rows=height, row_bytes=width * channels, payload_bytes=size, pilot_bytes=0
    )
    device.write(on_wire(build(HELLO_REQUEST)))
    hello = device.read(1000)
    codes = on_wire(build(CODES, bytes(size), request=7, bundle=bundle.hash32, sequence=1))
    with RawRecorder(tmp_path / "x", {"bundle": bundle.name, "bundle_hash": bundle.hash_hex}) as recorder:
        recorder.add(FROM_DEVICE, hello + codes)
        recorder.note({"request": 7, "index": 0, "label": 0, "ber": 0.0})
    result = replay(bundle, tmp_path / "x")
    assert (result.images, result.strange, result.board) == (0, 1, "")
