"""The monitor with real firmware in the emulator: equal to the reference, and hard to break."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semflash.bundle import Bundle, read_bundle
from semflash.edge.attach import attach
from semflash.edge.evaluate import evaluate
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.edge.reopen import reopener
from semflash.errors import DeviceError, LinkError, WrongFirmwareError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.link.errors import PortVanishedError
from semflash.link.port import open_port
from semflash.link.session import Expected, Received, Session
from semflash.monitor.monitor import MonitorOptions, MonitorResult, View, monitor

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
]
BOARD = load_board("qemu-stm32f405")
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
COUNT = 200


@dataclass(frozen=True)
class Images:
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Data:
    test: Images
    name: str = "smooth noise"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(TINY, BOARD, out_dir=tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def board(built: BuildResult, own_emulators: Path) -> Iterator[str]:
    """A running board of this test's own; its serial port."""
    state = emulator.start(BOARD, built.image_path, bundle_hash=built.bundle_hash, build_id=built.build_id)
    yield state.port


@pytest.fixture(scope="module")
def split(bundle: Bundle) -> Images:
    """Images with smooth shades, all values among them, and labels at random."""
    rng = np.random.default_rng(17)
    height, width, channels = bundle.image_shape
    coarse = rng.integers(0, 256, (COUNT, height // 4 + 1, width // 4 + 1, channels))
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width].astype(np.uint8)
    images[0], images[1] = 0, 255
    labels = rng.integers(0, len(bundle.contract.class_names), COUNT).astype(np.int32)
    return Images(images, labels)


def run(bundle: Bundle, split: Images, **options: Any) -> MonitorResult:
    with attach(BOARD) as port:
        return monitor(bundle, port, split, MonitorOptions(**options))


def test_200_images_give_the_golden_codes_and_the_accuracy_of_evaluate(
    board: str, bundle: Bundle, split: Images
) -> None:
    result = run(bundle, split, count=COUNT, check_golden=True)
    tally, link = result.progress.tally, result.progress.link
    assert (tally.received, tally.golden_checked, tally.golden_wrong, tally.lost) == (COUNT, COUNT, 0, 0)
    assert tally.value == evaluate(bundle, Data(split), (0.0,)).measurement.points[0].score.value
    assert result.exit_code == 0
    assert (link.frames_lost, link.frames_dropped, link.resyncs, link.stale_answers) == (0, 0, 0, 0)
    assert result.device_link is not None
    assert (result.device_link.overruns, result.device_link.bad_header_crc) == (0, 0)
    assert result.progress.hello.board == BOARD.name
    assert tally.count_mean is not None
    assert tally.count_mean > 1000
    assert tally.count_max < 1.05 * tally.count_min, "instructions per image repeat but for the data"


def test_killing_the_emulator_in_mid_stream_is_a_clear_error_and_keeps_what_came(
    board: str, bundle: Bundle, split: Images, tmp_path: Path
) -> None:
    state = emulator.status(BOARD.name)
    assert state is not None
    path = tmp_path / "run.jsonl"

    class Killer(View):
        def update(self, progress: Any) -> None:
            if progress.tally.received >= 10 and emulator.status(BOARD.name) is not None:
                os.kill(state.pid, signal.SIGKILL)

    with attach(BOARD) as port:
        result = monitor(
            bundle, port, split, MonitorOptions(count=COUNT, record_path=path, check_golden=True), Killer()
        )
    assert isinstance(result.error, PortVanishedError)
    assert result.exit_code == 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    images = [line for line in lines if line["kind"] == "image"]
    assert 10 <= len(images) == result.progress.tally.received < COUNT
    assert all(line["golden_equal"] for line in images)
    assert lines[-1]["ended_by"] == "PortVanishedError"


def test_a_board_that_is_started_again_in_mid_stream_is_found_and_every_image_is_checked(
    board: str, built: BuildResult, bundle: Bundle, split: Images
) -> None:
    class Restarter(View):
        """Pulls the cable after ten images, plugs it in again while the monitor waits."""

        pulled = False

        def update(self, progress: Any) -> None:
            state = emulator.status(BOARD.name)
            if progress.tally.received >= 10 and state is not None and not self.pulled:
                self.pulled = True
                os.kill(state.pid, signal.SIGKILL)
            if progress.state == "cable out" and state is None:
                emulator.start_build(built)

    with attach(BOARD) as port:
        again = reopener(BOARD, port)
        options = MonitorOptions(count=40, check_golden=True, reconnect_s=20.0)
        result = monitor(bundle, port, split, options, Restarter(), reopen=again)
    tally = result.progress.tally
    assert (result.exit_code, result.progress.reconnects) == (0, 1)
    assert (tally.received, tally.golden_checked, tally.golden_wrong, tally.lost) == (40, 40, 0, 0)
    kinds = [event.kind for event in result.progress.events]
    assert kinds == ["disconnected", "reconnected"]
    assert result.progress.events[0].values["under_way"] == result.progress.events[1].values["sent_again"]


def test_a_paused_emulator_is_silence_and_picked_up_again(board: str, bundle: Bundle, split: Images) -> None:
    state = emulator.status(BOARD.name)
    assert state is not None
    pixels = to_int8(split.images[:30], bundle.image_shape)
    golden = GoldenEncoder(bundle).payloads(split.images[:30])
    with open_port(board) as port:
        session = Session(port, Expected.of(bundle), timeout_s=1.0)
        session.connect()
        received = {}
        os.kill(state.pid, signal.SIGSTOP)
        resume = time.monotonic() + 2.5
        # The port's read is where the session waits; the board wakes up while it asks for HELLO.
        plain_read = port.read

        def read(size: int = 1) -> bytes:
            if time.monotonic() > resume:
                os.kill(state.pid, signal.SIGCONT)
            return plain_read(size)

        port.read = read  # type: ignore[method-assign]
        try:
            for outcome in session.stream(enumerate(pixels)):
                assert isinstance(outcome, Received)
                received[outcome.index] = outcome.payload
        finally:
            os.kill(state.pid, signal.SIGCONT)
    assert session.counters.resyncs >= 1
    assert received == {index: bytes(payload) for index, payload in enumerate(golden)}


def test_detaching_in_mid_image_and_attaching_again_mixes_nothing_up(
    board: str, bundle: Bundle, split: Images
) -> None:
    golden = GoldenEncoder(bundle).payloads(split.images[:20])
    for attempt in range(3):
        with open_port(board) as port:
            session = Session(port, Expected.of(bundle))
            session.connect()
            stream = session.stream(enumerate(to_int8(split.images[50:90], bundle.image_shape)))
            for _ in range(attempt + 1):
                next(stream)
            port.write(b"\x03\x02")  # and half a frame
        with open_port(board) as port:
            session = Session(port, Expected.of(bundle))
            pixels = to_int8(split.images[:20], bundle.image_shape)
            received = {
                o.index: o.payload for o in session.stream(enumerate(pixels)) if isinstance(o, Received)
            }
        assert received == {index: bytes(payload) for index, payload in enumerate(golden)}


@pytest.mark.parametrize(
    "size", [pytest.param(30_000, id="30 kB"), pytest.param(1_000_000, id="1 MB", marks=pytest.mark.slow)]
)
def test_after_random_bytes_the_device_answers_hello_and_encodes_right(
    board: str, bundle: Bundle, split: Images, size: int
) -> None:
    noise = random.Random(99)
    with open_port(board) as port:
        left = size
        while left:
            chunk = noise.randbytes(min(left, 2000))
            port.write(chunk)
            left -= len(chunk)
            while port.in_waiting:
                port.read(port.in_waiting)
    result = run(bundle, split, count=20, check_golden=True)
    assert (result.progress.tally.golden_wrong, result.progress.tally.received) == (0, 20)
    assert result.device_link is not None
    stats = result.device_link
    assert stats.broken_cobs + stats.bad_length + stats.bad_header_crc > size // 1000


def test_another_bundle_on_the_board_is_refused_with_both_hashes(board: str, bundle: Bundle) -> None:
    other = Expected("other", bundle.hash32 ^ 1, *bundle.image_shape[:2], bundle.payload_bytes)
    with open_port(board) as port, pytest.raises(WrongFirmwareError) as caught:
        Session(port, other).connect()
    assert f"{bundle.hash32:08x}" in str(caught.value)
    assert f"{bundle.hash32 ^ 1:08x}" in str(caught.value)


def test_a_second_monitor_is_kept_out(board: str, bundle: Bundle) -> None:
    with open_port(board), pytest.raises(LinkError, match="in use"):
        attach(BOARD)


def test_a_reset_of_the_board_is_noticed_and_every_image_still_answered(
    bundle: Bundle, split: Images, board: str
) -> None:
    golden = GoldenEncoder(bundle).payloads(split.images[:30])
    with open_port(board) as port:
        session = Session(port, Expected.of(bundle), timeout_s=2.0)
        before = session.connect().uptime_us
        received: dict[int, bytes] = {}
        for outcome in session.stream(enumerate(to_int8(split.images[:30], bundle.image_shape))):
            assert isinstance(outcome, Received)
            received[outcome.index] = outcome.payload
            if len(received) == 10:
                emulator.reset(BOARD.name)
        assert session.counters.restarts == 1
        assert session.hello is not None and 0 < session.hello.uptime_us != before
    assert received == {index: bytes(payload) for index, payload in enumerate(golden)}


def test_a_board_that_does_not_run_cannot_be_reset(own_emulators: Path) -> None:
    with pytest.raises(DeviceError, match="does not run"):
        emulator.reset("nobody")
