"""A cable that is pulled and comes back: nothing is lost in silence, and the same board is found again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.link_device import CREDIT, FakeDevice, digest_codes
from semflash.bundle import read_bundle
from semflash.edge import connection, reopen
from semflash.edge.connection import Connection, added
from semflash.errors import DeviceError, LinkError, WrongFirmwareError
from semflash.firmware.boards.descriptions import load_board
from semflash.link.counters import LinkCounters
from semflash.link.errors import PortVanishedError
from semflash.link.outcome import Lost, Received
from semflash.link.session import Expected
from semflash.monitor.live_table import PlainLines
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor

EXPECTED = Expected("toy", 0xA1B2C3D4, 4, 6, 8)
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the port every 10 ms instead of every half second."""
    monkeypatch.setattr(connection, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(connection, "_NAP_S", 0.002)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(-128, 128, (count, 4, 6, 1)).astype(np.int8)


def fragile(reads: int | None, **options: Any) -> FakeDevice:
    """A device whose cable is pulled after so many reads."""
    device = FakeDevice(**options)
    device.vanished = PortVanishedError("the port vanished", remedy="plug it in")
    device.vanish_after = reads
    return device


def run(
    devices: list[FakeDevice | Exception], pictures: np.ndarray, reconnect_s: float = 5.0
) -> tuple[list[Any], Connection, list[tuple[str, str, dict[str, object]]]]:
    """All outcomes over one device after another; an exception in the list is a failed look for the port."""
    waiting = iter(devices[1:])

    def again() -> FakeDevice:
        found = next(waiting)
        if isinstance(found, Exception):
            raise found
        return found

    events: list[tuple[str, str, dict[str, object]]] = []
    first = devices[0]
    assert isinstance(first, FakeDevice)
    link = Connection(first, EXPECTED, timeout_s=0.2, reopen=again, reconnect_s=reconnect_s)
    link.watch(lambda: None, lambda *event: events.append(event))
    link.connect()
    return list(link.stream(enumerate(pictures))), link, events


@pytest.mark.parametrize("reads", range(2, 50, 4))
def test_wherever_the_cable_is_pulled_every_image_is_answered_once_with_its_own_codes(reads: int) -> None:
    pictures = images(60)
    outcomes, link, events = run([fragile(reads), DeviceError("not there"), fragile(None)], pictures)
    assert sorted(o.index for o in outcomes) == list(range(60))
    for outcome in outcomes:
        assert isinstance(outcome, Received)
        assert outcome.payload == digest_codes(pictures[outcome.index].tobytes(), 8)
    assert link.reconnects == 1
    assert [kind for kind, _, _ in events] == ["disconnected", "reconnected"]
    assert events[0][2]["under_way"] == events[1][2]["sent_again"]
    assert f"{events[0][2]['under_way']} image" in events[0][1]


def test_counters_of_all_connections_add_up() -> None:
    outcomes, link, _ = run([fragile(20), fragile(20), fragile(None)], images(80))
    assert link.reconnects == 2
    assert len(outcomes) == 80
    frames_of_answers = 80 * 2  # CODES and IMAGE_STATS; credits and HELLOs beside them
    assert link.counters.frames_ok > frames_of_answers
    assert link.counters.bytes_sent > 80 * 24


def test_a_board_that_ran_on_tells_how_many_frames_the_cable_cost() -> None:
    device = fragile(20)

    def again() -> FakeDevice:
        device.vanish_after = None
        device.read(1 << 20)  # what was on the line is lost
        for _ in range(7):
            device.send(CREDIT, bytes(6))
        device.read(1 << 20)
        return device

    events: list[tuple[str, str, dict[str, object]]] = []
    link = Connection(device, EXPECTED, timeout_s=0.2, reopen=again, reconnect_s=5.0)
    link.watch(lambda: None, lambda *event: events.append(event))
    link.connect()
    assert len(list(link.stream(enumerate(images(60))))) == 60
    back = events[1][2]
    assert back["board_reset"] is False
    assert isinstance(back["frames_lost"], int)
    assert back["frames_lost"] >= 7
    assert f"{back['frames_lost']} frames of the board got lost" in events[1][1]
    assert link.counters.frames_lost == back["frames_lost"]


def test_a_board_that_was_reset_while_the_cable_was_out_is_said_so() -> None:
    _, link, events = run([fragile(20), fragile(None)], images(60))
    assert events[1][2]["board_reset"] is True
    assert "the board was reset meanwhile" in events[1][1]
    assert link.counters.frames_lost == 0


def test_counters_are_added_field_by_field() -> None:
    first = LinkCounters(frames_ok=3, resyncs=1, refused={1: 2, 4: 1})
    second = LinkCounters(frames_ok=4, bytes_sent=9, refused={4: 5})
    first.dropped["broken_cobs"], second.dropped["broken_cobs"] = 7, 1
    total = added(first, second)
    assert (total.frames_ok, total.bytes_sent, total.resyncs) == (7, 9, 1)
    assert total.refused == {1: 2, 4: 6}
    assert total.dropped["broken_cobs"] == 8
    assert first.refused == {1: 2, 4: 1}


def test_a_cable_that_stays_out_is_an_error_after_the_time_that_was_asked_for() -> None:
    gone = [DeviceError("the probe is not plugged in")] * 10_000
    with pytest.raises(PortVanishedError, match="did not come back within 0 s") as caught:
        run([fragile(20), *gone], images(20), reconnect_s=0.1)
    assert caught.value.value == "the probe is not plugged in"


def test_without_reconnection_the_error_comes_at_once() -> None:
    with pytest.raises(PortVanishedError, match="the port vanished"):
        run([fragile(20)], images(20), reconnect_s=0.0)


def test_a_port_that_opens_but_stays_silent_is_tried_again() -> None:
    silent = fragile(None)
    silent.hear = lambda data: b""
    outcomes, link, _ = run([fragile(20), silent, LinkError("in use"), fragile(None)], images(20))
    assert (len(outcomes), link.reconnects) == (20, 1)


def test_another_bundle_on_the_board_that_came_back_ends_the_run() -> None:
    with pytest.raises(WrongFirmwareError):
        run([fragile(20), fragile(None, bundle=0xBAD)], images(20))


def test_an_image_that_pulls_the_cable_every_time_is_given_up() -> None:
    pictures = images(6)
    poison = pictures[2].tobytes()

    def encode(image: bytes) -> bytes:
        if image == poison:
            raise PortVanishedError("the port vanished")  # the device falls off the bus
        return digest_codes(image, 8)

    devices: list[FakeDevice | Exception] = [fragile(None, encode=encode) for _ in range(6)]
    outcomes, link, events = run(devices, pictures)
    lost = [o.index for o in outcomes if isinstance(o, Lost)]
    assert 2 in lost
    assert sorted(o.index for o in outcomes) == list(range(6))
    assert link.reconnects == connection.CONNECTIONS_PER_IMAGE
    assert "given up" in events[-2][1]


@dataclass
class Usb:
    device: str
    serial_number: str | None
    location: str | None = None


def test_the_same_probe_is_found_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = [Usb("/dev/ttyACM0", "066A"), Usb("/dev/ttyACM1", "066B")]
    opened: list[str] = []
    monkeypatch.setattr(reopen, "attach", lambda board, port, baud, user: opened.append(port))

    class Open:
        url = "/dev/ttyACM0"

    again = reopen.reopener(load_board("nucleo_f446re"), Open(), ports=lambda: plugged)  # type: ignore[arg-type]
    assert again is not None
    plugged[:] = [Usb("/dev/ttyACM0", "066B")]  # ours is out, the other one took its name
    with pytest.raises(DeviceError, match="not plugged in") as caught:
        again()
    assert caught.value.value == "066A"
    plugged.append(Usb("/dev/ttyACM7", "066A"))
    again()
    plugged[:] = [Usb("/dev/ttyACM2", "066A"), Usb("/dev/ttyACM0", "066A")]  # a probe with two ports
    again()
    assert opened == ["/dev/ttyACM7", "/dev/ttyACM0"]


def test_of_two_probes_with_one_number_the_one_at_the_same_usb_socket_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugged = [Usb("/dev/ttyACM0", "066A", "1-1:1.2"), Usb("/dev/ttyACM1", "066A", "1-2:1.2")]
    opened: list[str] = []
    monkeypatch.setattr(reopen, "attach", lambda board, port, baud, user: opened.append(port))

    class Open:
        url = "/dev/ttyACM0"

    again = reopen.reopener(load_board("nucleo_f446re"), Open(), ports=lambda: plugged)  # type: ignore[arg-type]
    assert again is not None
    plugged[:] = [Usb("/dev/ttyACM0", "066A", "1-2:1.2")]  # ours is out, its twin took the name
    with pytest.raises(DeviceError, match="two probes have this serial number") as caught:
        again()
    assert "1-1" in caught.value.remedy
    plugged += [Usb("/dev/ttyACM10", "066A", "1-1:1.4"), Usb("/dev/ttyACM9", "066A", "1-1:1.2")]
    again()
    assert opened == ["/dev/ttyACM9"]


def test_a_port_without_a_probe_number_is_looked_for_as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(reopen, "attach", lambda board, port, baud, user: asked.append(port))

    class Open:
        url = "/dev/pts/9"

    again: Callable[[], object] | None = reopen.reopener(
        load_board("qemu-stm32f405"),
        Open(),
        ports=list,  # type: ignore[arg-type]
    )
    assert again is not None
    again()
    assert asked == [None]
    assert reopen.reopener(load_board("native"), Open()) is None  # type: ignore[arg-type]


def tiny_run(
    stream: io.StringIO | None = None, view: PlainLines | None = None, **options: Any
) -> MonitorResult:
    """A monitor of the tiny bundle over two devices that make codes up."""
    bundle = read_bundle(TINY)
    height, width, channels = bundle.image_shape
    shape = {"bundle": bundle.hash32, "rows": height, "row_bytes": width * channels}
    sizes = {**shape, "payload_bytes": bundle.payload_bytes, "rows_per_frame": height // 2}

    @dataclass(frozen=True)
    class Images:
        images: np.ndarray
        labels: np.ndarray

    split = Images(
        np.random.default_rng(1).integers(0, 256, (40, *bundle.image_shape), np.uint8), np.zeros(40, np.int32)
    )
    return monitor(
        bundle,
        fragile(15, **sizes),
        split,
        MonitorOptions(count=40, reconnect_s=5.0, timeout_s=0.2, **options),
        view,
        reopen=lambda: fragile(None, **sizes),
        stream=stream,
    )


def test_the_stream_has_a_line_for_every_image_and_for_what_the_cable_did(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "run.jsonl"
    result = tiny_run(stream, record_path=path)
    assert (result.exit_code, result.progress.reconnects) == (0, 1)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert (kinds[0], kinds[-1], kinds.count("image")) == ("session", "end", 40)
    out, back = (
        next(line for line in lines if line["kind"] == kind) for kind in ("disconnected", "reconnected")
    )
    assert out["under_way"] == back["sent_again"] > 0
    assert lines[-1]["reconnects"] == 1
    recorded = [json.loads(line) for line in path.read_text().splitlines()]
    assert recorded == [line for line in lines if line["kind"] != "progress"]


def test_plain_lines_tell_of_the_cable_at_once() -> None:
    text = io.StringIO()
    tiny_run(view=PlainLines(text))
    assert "disconnected: the port vanished with" in text.getvalue()
    assert "reconnected: back on the port after" in text.getvalue()
