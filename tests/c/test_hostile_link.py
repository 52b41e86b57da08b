"""A hostile device, host or line: bounded time and memory on both sides."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cobs import cobs

from c import tiny_reference as tiny
from fakes.link_device import CODES, CREDIT, HELLO, FakeDevice, build, on_wire
from fakes.toy_session import EXPECTED, images, session_with
from semflash.errors import LinkError, WrongFirmwareError
from semflash.firmware.emulator.native import NativePort
from semflash.link.frame import WIRE_MAX, FrameDecoder
from semflash.link.session import Session
from vectors.make_frames import TYPES, raw_frame, wire

MIB = 1 << 20


def peak_mib(action: Callable[[], object]) -> float:
    """Python memory that `action` had at most, beyond what was there."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def test_the_hosts_decoder_stays_small_whatever_comes() -> None:
    decoder = FrameDecoder()

    def flood() -> None:
        for piece in (
            b"\xff" * 4096,
            b"\x01" * 4096,
            bytes(4096),
            on_wire(build(CODES, bytes(4096), version=9)),
        ):
            for _ in range(20):
                decoder.feed(piece)

    assert peak_mib(flood) < 1.0
    assert len(decoder._start) <= WIRE_MAX


def credit(device: FakeDevice, number: int) -> bytes:
    """A CREDIT whose frame number jumps about."""
    payload = struct.pack("<IH", number, number)
    return build(CREDIT, payload, bundle=device.bundle, sequence=number * 7919 % 65536)


@pytest.mark.parametrize(
    "answer",
    [
        lambda d: [credit(d, number) for number in range(50)],
        lambda d: [build(HELLO, d.hello(), bundle=d.bundle, sequence=n) for n in range(50)],
        lambda d: [build(CODES, bytes(8), bundle=d.bundle, request=n) for n in range(50)],
        lambda d: [build(0x87, bytes(2000), bundle=d.bundle, sequence=n) for n in range(50)],
    ],
    ids=["sequence jumps", "a HELLO flood", "codes for everything", "a flood of faults"],
)
def test_floods_of_a_hostile_device_end_in_bounded_time_and_memory(
    answer: Callable[[FakeDevice], list[bytes]],
) -> None:
    device = FakeDevice()
    device.fault = lambda kind, raw: (
        [on_wire(raw)] if kind == HELLO else [on_wire(forged) for forged in answer(device)]
    )
    session = session_with(device, timeout_s=1.0)
    reads = 0
    read = device.read

    def counted(size: int = 1) -> bytes:
        nonlocal reads
        reads += 1
        device.now += 0.001
        return read(size)

    device.read = counted  # type: ignore[method-assign]

    def run() -> None:
        with pytest.raises(LinkError):
            for outcome in session.stream(enumerate(images(60))):
                assert outcome is not None

    assert peak_mib(run) < 4.0
    assert device.now < 60 and reads < 60_000


def test_a_window_of_65535_does_not_make_the_host_send_without_end() -> None:
    device = FakeDevice(window=65535)
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    session = session_with(device, timeout_s=0.5)
    session.connect()
    core, taken = session.core, 0
    core.start(device.now)
    while core.wants_images:
        core.offer(taken, bytes(24), device.now)
        taken += 1
    assert taken < 200 and sum(len(data) for data in iter(core.data_to_send, b"")) < 4200


def test_a_forged_bundle_hash_in_hello_is_refused_and_in_codes_counted() -> None:
    with pytest.raises(WrongFirmwareError):
        session_with(FakeDevice(bundle=1)).connect()
    device = FakeDevice()
    device.fault = lambda kind, raw: [on_wire(raw if kind == HELLO else raw[:4] + b"evil" + raw[8:])]
    session = session_with(device, timeout_s=0.5)
    with pytest.raises(LinkError):
        list(session.stream(enumerate(images(3))))
    assert session.counters.dropped["bad_header_crc"] > 0


@pytest.mark.parametrize(
    "field", [{"pilot_bytes": 65000}, {"payload_bytes": 65000}, {"rows_per_frame": 5000}]
)
def test_sizes_in_hello_that_fit_no_frame_are_refused(field: dict[str, int]) -> None:
    with pytest.raises(LinkError):
        session_with(FakeDevice(**field), timeout_s=0.5).connect()  # type: ignore[arg-type]


def test_a_hello_for_another_session_is_no_answer() -> None:
    device = FakeDevice()
    device.send = _without_session(device)  # type: ignore[method-assign]
    session = session_with(device, timeout_s=0.5)
    with pytest.raises(LinkError):
        session.connect()


def _without_session(device: FakeDevice) -> Callable[..., None]:
    send = device.send

    def changed(kind: int, payload: bytes = b"", request: int = 0, *, bundle: int | None = None) -> None:
        send(kind, payload, request ^ 1 if kind == HELLO else request, bundle=bundle)

    return changed


def answers(port: NativePort) -> list[int]:
    """Types of the frames that the device sent."""
    return [cobs.decode(piece)[1] for piece in port.read(1 << 22).split(b"\0") if piece]


def test_the_device_answers_each_of_ten_thousand_hellos_and_goes_on(tiny_library: Path) -> None:
    with NativePort(tiny_library, timeout=0) as port:
        flood = b"".join(
            wire(raw_frame(TYPES["HELLO_REQUEST"], bundle=0, request=number, sequence=number * 40503 % 65536))
            for number in range(10_000)
        )
        port.write(flood)
        assert answers(port) == [TYPES["HELLO"]] * 10_000
        image = bytes(28 * 28)
        port.write(wire(raw_frame(TYPES["ROWS"], struct.pack("<HH", 0, 28) + image, bundle=tiny.BUNDLE)))
        assert TYPES["CODES"] in answers(port)


def test_half_frames_and_forged_lengths_cost_the_device_nothing_but_themselves(tiny_library: Path) -> None:
    good = raw_frame(TYPES["ROWS"], struct.pack("<HH", 0, 28) + bytes(28 * 28), bundle=tiny.BUNDLE)
    with NativePort(tiny_library, timeout=0) as port:
        for hostile in (
            wire(good)[:100] + b"\0",
            wire(raw_frame(TYPES["ROWS"], bytes(10), length=65535)),
            wire(raw_frame(TYPES["ROWS"], bytes(10), length=4097)),
            b"\xff" * 100_000 + b"\0",
            b"\x01" * 100_000 + b"\0",
            wire(raw_frame(TYPES["ROWS"], struct.pack("<HH", 65535, 65535) + bytes(28), bundle=tiny.BUNDLE)),
        ):
            port.write(hostile)
            assert TYPES["CODES"] not in answers(port)
            port.write(wire(good))
            assert TYPES["CODES"] in answers(port)


def test_a_session_after_another_hosts_half_frame_works(tiny_library: Path) -> None:
    with NativePort(tiny_library, timeout=0.01) as port:
        port.write(b"\x20half a frame")
        hello = Session(port, EXPECTED_TINY, timeout_s=1.0).connect()
        assert hello.board == "native" and EXPECTED.name == "toy"


EXPECTED_TINY = EXPECTED.__class__("tiny", tiny.BUNDLE, 28, 28, tiny.PAYLOAD_BYTES)
