"""Sessions that cannot begin or go on: silence, garbage, a wrong bundle, a port that goes away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fakes.link_device import (
    CODES,
    HELLO,
    FakeDevice,
    on_wire,
)
from fakes.toy_session import images, right_codes, run, session_with
from semflash.errors import LinkError, WrongFirmwareError
from semflash.link.errors import GarbageError, PortVanishedError, SilenceError, StalledError
from semflash.link.session import Outcome


def test_hello_is_read_field_by_field() -> None:
    hello = session_with(FakeDevice()).connect()
    assert (hello.board, hello.engine, hello.build_id, hello.counter) == (
        "fake-board",
        "aot/fake",
        0xB01D,
        "instructions",
    )
    assert (hello.window, hello.rows_payload, hello.rows_per_frame, hello.reset_cause) == (
        2,
        16,
        2,
        "power-on",
    )


def test_a_device_that_reboots_in_mid_stream_is_picked_up_again() -> None:
    device, pictures = FakeDevice(), images(12)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if kind == CODES and codes == 5:
            device.reboot()
            return []
        return [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(12))
    assert session.counters.resyncs >= 1


def test_a_silent_device_is_an_error_of_its_own_within_bounded_time() -> None:
    device = FakeDevice(fault=lambda kind, raw: [])
    with pytest.raises(SilenceError, match="silent") as caught:
        session_with(device, timeout_s=2.0).connect()
    assert caught.value.exit_code == 3
    assert device.now == pytest.approx(6.0, abs=0.5)


def test_garbage_instead_of_frames_is_an_error_of_its_own() -> None:
    device = FakeDevice(fault=lambda kind, raw: [b"U-Boot 2019.04 \0 booting \0"])
    with pytest.raises(GarbageError, match="no frames of ours"):
        session_with(device, timeout_s=0.5).connect()


def test_endless_garbage_without_a_delimiter_does_not_hold_the_host_for_ever() -> None:
    device = FakeDevice()
    read = device.read

    def noise(size: int = 1) -> bytes:
        device.now += 0.01
        return b"\xaa" * 512

    with pytest.raises(GarbageError):
        device.read = noise  # type: ignore[method-assign]
        session_with(device, timeout_s=0.5).connect()
    device.read = read  # type: ignore[method-assign]
    session = session_with(device, timeout_s=0.5)
    session.connect()
    device.read = noise  # type: ignore[method-assign]
    with pytest.raises(GarbageError):
        list(session.stream(enumerate(images(3))))


def test_a_port_that_echoes_is_told_apart() -> None:
    device = FakeDevice()
    device.hear = lambda data: (device.say(data), b"")[1]
    with pytest.raises(GarbageError, match="echoes"):
        session_with(device, timeout_s=0.5).connect()


def test_a_wrong_bundle_names_both_hashes_and_the_remedy() -> None:
    with pytest.raises(WrongFirmwareError) as caught:
        session_with(FakeDevice(bundle=0x0BAD0BAD)).connect()
    text = str(caught.value)
    assert "0bad0bad" in text
    assert "a1b2c3d4" in text
    assert "semflash flash toy" in text


@pytest.mark.parametrize("version", [1, 2])
def test_another_protocol_version_is_told_from_garbage(version: int) -> None:
    device = FakeDevice(protocol=version)
    with pytest.raises(WrongFirmwareError, match=f"protocol version {version}") as caught:
        session_with(device, timeout_s=0.5).connect()
    assert "build and flash again: semflash build toy, then semflash flash toy" in str(caught.value)
    assert device.now < 1.1, "an old firmware is told after the first time-out"


def test_a_device_of_other_sizes_is_refused() -> None:
    with pytest.raises(LinkError, match="not those of the bundle"):
        session_with(FakeDevice(payload_bytes=9)).connect()


@pytest.mark.parametrize("options", [{"window": 0}, {"rows_per_frame": 0}, {"row_bytes": 0}])
def test_a_hello_that_makes_no_sense_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(LinkError, match="makes no sense"):
        session_with(FakeDevice(**options)).connect()  # type: ignore[arg-type]


def test_a_bundle_exchanged_in_mid_stream_is_noticed() -> None:
    device, pictures = FakeDevice(), images(10)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if codes == 3:
            device.bundle = 0x0BAD0BAD
        return [on_wire(raw)]

    device.fault = fault
    session = session_with(device)
    received = []
    with pytest.raises(WrongFirmwareError):
        for outcome in session.stream(enumerate(pictures)):
            received.append(outcome)
    assert right_codes(received, pictures) >= {0, 1}


def test_what_came_before_the_port_vanished_is_handed_out() -> None:
    device, pictures = FakeDevice(), images(50)
    device.vanished = PortVanishedError("the port vanished")
    session = session_with(device)
    session.connect()
    device.vanish_after = 12
    received: list[Outcome] = []
    with pytest.raises(PortVanishedError):
        for outcome in session.stream(enumerate(pictures)):
            received.append(outcome)
    assert len(right_codes(received, pictures)) >= 3
    assert session.unanswered >= 1


def test_silence_in_mid_stream_is_an_error_after_what_came() -> None:
    device, pictures = FakeDevice(), images(30)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        return [on_wire(raw)] if codes < 8 else []

    device.fault = fault
    received: list[Outcome] = []
    with pytest.raises(SilenceError):
        for outcome in session_with(device, timeout_s=1.0).stream(enumerate(pictures)):
            received.append(outcome)
    assert right_codes(received, pictures) == set(range(7))


def test_a_device_that_only_says_hello_is_given_up() -> None:
    device = FakeDevice()
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    with pytest.raises(StalledError, match="answers HELLO"):
        run(device, images(100), timeout_s=1.0)
    assert device.now < 10


def test_a_slow_caller_is_not_taken_for_a_silent_device() -> None:
    device, pictures = FakeDevice(), images(6)
    session = session_with(device, timeout_s=1.0)
    for _ in session.stream(enumerate(pictures)):
        device.now += 30.0
    assert session.counters.resyncs == 0


def test_images_that_come_slowly_are_not_the_devices_silence() -> None:
    device, pictures = FakeDevice(), images(6)
    session = session_with(device, timeout_s=1.0)
    read, write, fresh = device.read, device.write, False

    def slow_write(data: bytes) -> int:
        nonlocal fresh
        fresh = True
        return write(data)

    def slow_read(size: int = 1) -> bytes:
        nonlocal fresh
        if fresh:
            fresh = False
            device.now += 0.05  # the first read after a write is too early for the answer
            return b""
        return read(size)

    def slowly() -> Iterator[tuple[int, np.ndarray]]:
        for index, picture in enumerate(pictures):
            device.now += 30.0
            yield index, picture

    device.read, device.write = slow_read, slow_write  # type: ignore[method-assign]

    assert right_codes(session.stream(slowly()), pictures) == set(range(6))
    assert session.counters.resyncs == 0


def test_a_stream_that_is_left_behind_does_not_end_a_later_one() -> None:
    device, pictures = FakeDevice(), images(8)
    session = session_with(device)
    left = session.stream(enumerate(images(4, seed=5)))
    next(left)
    later = session.stream((100 + index, picture) for index, picture in enumerate(pictures))
    first = next(later)
    left.close()
    found = {outcome.index for outcome in (first, *later)}
    assert found >= {100 + index for index in range(8)} and session.unanswered == 0


def test_leftovers_of_an_earlier_session_are_not_taken_for_answers() -> None:
    device, pictures = FakeDevice(), images(4)
    earlier = session_with(device)
    stream = earlier.stream(enumerate(images(40, seed=9)))
    next(stream)
    stream.close()  # answers of the earlier host wait on the line
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.resyncs == 0


def test_link_statistics_are_asked_and_read() -> None:
    session = session_with(FakeDevice())
    session.connect()
    stats = session.link_stats()
    assert (stats.ok, stats.foreign_bundle, stats.overruns) == (1, 7, 8)
