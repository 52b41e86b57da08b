"""Controls and fragments over the link, against a device that shares no code with the bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from cobs import cobs
from numpy.typing import NDArray

from fakes.link_device import CODES, CODES_PART, CONTROL, FakeDevice, digest_codes, on_wire, setting
from fakes.toy_session import images
from semflash.errors import LinkError, UsageError
from semflash.link.codes.fragments import FRAGMENTS_MAX, Assembly, Fragment
from semflash.link.controls import Steering, control_payloads
from semflash.link.outcome import Lost, Outcome, Received
from semflash.link.session import Expected, Session
from semflash.program.controls import Control

CONTROLS = (
    Control("bytes", 9, 2, 40, 40, "bytes"),
    Control("entry", 3, 0, 500, 5, "entry", sticky=False),
)
EXPECTED = Expected("toy", 0xA1B2C3D4, 4, 6, 40, CONTROLS, varies=True)
IDS = [(control.id, control.low, control.high, control.default) for control in CONTROLS]


def steer(image: bytes, values: tuple[int, ...]) -> bytes:
    """Codes that name image and controls, as long as `bytes` says."""
    return digest_codes(image + bytes(values[1:2]), values[0])


class SteeredDevice(FakeDevice):
    """A device with CONTROLS, whose `entry` holds for one image."""

    def __init__(self, **options: object) -> None:
        given = {"controls": IDS, "steer": steer, "payload_bytes": 40, "fragment_bytes": 16, "pilot_bytes": 2}
        super().__init__(**(given | options))  # type: ignore[arg-type]

    def _answer(self, request: int) -> None:
        super()._answer(request)
        self._next[3] = 5


def session_with(device: FakeDevice, expected: Expected = EXPECTED, **options: object) -> Session:
    return Session(device, expected, clock=device.clock, **options)  # type: ignore[arg-type]


def check(
    outcomes: Iterable[Outcome], pictures: NDArray[np.int8], wanted: Callable[[int], tuple[int, int]]
) -> int:
    """Every image came, encoded as it was to be; how many."""
    seen = set()
    for found in outcomes:
        assert isinstance(found, Received)
        size, entry = wanted(found.index)
        assert found.controls == {"bytes": size, "entry": entry}, found.index
        if not found.damaged:
            assert found.payload == steer(pictures[found.index].tobytes(), (size, entry))
        assert found.bits == 8 * size
        seen.add(found.index)
    return len(seen)


def test_controls_hold_from_the_next_image_on_and_own_ones_for_one_image() -> None:
    device, pictures = SteeredDevice(), images(12)
    session = session_with(device)

    def handed_in() -> Iterable[tuple[object, ...]]:
        for index, picture in enumerate(pictures):
            if index == 4:
                session.set_controls({"bytes": 10})
            yield (index, picture, {"entry": index}) if index % 3 == 0 else (index, picture)

    found = list(session.stream(handed_in()))  # type: ignore[arg-type]
    assert check(found, pictures, lambda n: (10 if n >= 4 else 40, n if n % 3 == 0 else 5)) == 12
    assert session.counters.controls_missed == 0 and session.counters.images_resent == 0


def test_nothing_is_sent_that_the_device_has_already() -> None:
    device = SteeredDevice()
    session = session_with(device)
    session.set_controls({"bytes": 10})
    assert len(list(session.stream(enumerate(images(6))))) == 6
    session.set_controls({"bytes": 10, "entry": 5})
    assert len(list(session.stream(enumerate(images(6))))) == 6
    assert device.controlled == [setting(9, 10)]


def test_a_lost_control_is_noticed_and_the_image_sent_again() -> None:
    device, pictures = SteeredDevice(), images(8)
    lost = 0

    def hear(data: bytes) -> bytes:
        nonlocal lost
        drop = lost < 2 and cobs.decode(data.strip(b"\0"))[1] == CONTROL
        lost += drop
        return b"" if drop else data

    device.hear = hear
    session = session_with(device)
    session.set_controls({"bytes": 10})
    assert check(session.stream(enumerate(pictures)), pictures, lambda n: (10, 5)) == 8
    assert lost == 2 and session.counters.controls_missed >= 2 and session.counters.images_resent >= 2


def test_sticky_controls_outlast_a_reset_of_the_device() -> None:
    device, pictures = SteeredDevice(), images(20)
    session = session_with(device, timeout_s=1.0)
    session.set_controls({"bytes": 7})
    found = []
    for outcome in session.stream(enumerate(pictures)):
        found.append(outcome)
        if len(found) in (5, 11):
            device.reboot()
    assert check(found, pictures, lambda n: (7, 5)) == 20
    assert session.counters.resyncs == 2 and device.controlled == 3 * [setting(9, 7)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"bytes": 41},
            r"control bytes takes 2 to 40 \(got: 41\)\n  try: bytes 2 to 40 bytes \(default 40\)",
        ),
        ({"bytes": 1}, "takes 2 to 40"),
        ({"entry": True}, "takes 0 to 500"),
        ({"stream": 65536}, "control stream takes 0 to 65535"),
        (
            {"ratio": 3},
            r"no such control \(got: ratio\)\n  try: controls: bytes 2 .*, entry 0 to 500 .*",
        ),
    ],
)
def test_settings_that_the_device_would_refuse_are_refused_before(values: dict[str, int], says: str) -> None:
    session = session_with(SteeredDevice())
    with pytest.raises(UsageError, match=says):
        session.set_controls(values)
    with pytest.raises(UsageError, match=says):
        list(session.stream([(0, images(1)[0], values)]))


def test_a_device_that_refuses_a_control_ends_the_run_with_its_reason() -> None:
    device = SteeredDevice(controls=[(9, 2, 12, 40), (3, 0, 500, 5)])
    session = session_with(device, timeout_s=0.5)
    session.set_controls({"bytes": 30})
    with pytest.raises(LinkError):
        outcomes = list(session.stream(enumerate(images(40))))
        assert not any(isinstance(outcome, Received) for outcome in outcomes)
    assert session.counters.refused[6] >= 10


def test_a_device_that_uses_other_values_than_it_was_told_gives_no_codes() -> None:
    device = SteeredDevice()
    device._on_control = lambda *_: device.__dict__.update(_credit=device._credit + 1)  # type: ignore[assignment, method-assign]
    session = session_with(device, timeout_s=0.5)
    session.set_controls({"bytes": 30})
    assert all(isinstance(outcome, Lost) for outcome in session.stream(enumerate(images(6))))
    assert session.counters.controls_missed == 18 and session.counters.images_lost == 6


def fragments_fault(change: Callable[[int, bytes], list[bytes]]) -> Callable[[int, bytes], list[bytes]]:
    """A fault of CODES_PART frames by their number, from 0."""
    seen = -1

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        if kind != CODES_PART:
            return [on_wire(raw)]
        seen += 1
        return change(seen, raw)

    return fault


def test_payloads_longer_than_a_frame_come_in_fragments() -> None:
    device, pictures = SteeredDevice(), images(9)
    frames: list[int] = []
    device.fault = lambda kind, raw: frames.append(kind) or [on_wire(raw)]  # type: ignore[func-returns-value]
    assert check(session_with(device).stream(enumerate(pictures)), pictures, lambda n: (40, 5)) == 9
    assert frames.count(CODES_PART) == 27 and frames.count(CODES) == 0


def test_each_fragment_has_its_own_flag() -> None:
    def hurt(number: int, raw: bytes) -> list[bytes]:
        changed = bytearray(raw)
        if number == 1:
            changed[-6] ^= 1
        return [on_wire(bytes(changed))]

    device, pictures = SteeredDevice(fault=fragments_fault(hurt)), images(2)
    first, second = session_with(device).stream(enumerate(pictures))
    assert isinstance(first, Received) and isinstance(second, Received)
    assert first.damaged and first.damaged_parts == ((16, 32),)
    right = steer(pictures[0].tobytes(), (40, 5))
    assert first.payload[:16] == right[:16] and first.payload[32:] == right[32:] != first.payload
    assert not second.damaged and second.damaged_parts == ()
    assert len(first.pilot_errors) == 6


def test_an_image_whose_fragments_are_not_all_there_is_sent_again() -> None:
    lose = fragments_fault(lambda number, raw: [] if number in (1, 5, 9) else [on_wire(raw)])
    device, pictures = SteeredDevice(fault=lose), images(6)
    session = session_with(device, timeout_s=0.5)
    assert check(session.stream(enumerate(pictures)), pictures, lambda n: (40, 5)) == 6
    assert session.counters.images_resent >= 3 and session.counters.frames_lost == 3


def test_fragments_doubled_or_out_of_order_give_the_same_payload() -> None:
    held: list[bytes] = []

    def shuffle(number: int, raw: bytes) -> list[bytes]:
        if number % 3 == 0:
            held.append(on_wire(raw))
            return []
        return [on_wire(raw), *(held.pop() for _ in range(len(held))), on_wire(raw)]

    device, pictures = SteeredDevice(fault=fragments_fault(shuffle)), images(6)
    session = session_with(device)
    assert check(session.stream(enumerate(pictures)), pictures, lambda n: (40, 5)) == 6
    assert session.counters.frames_duplicate == 12 and session.counters.frames_reordered == 6


def test_a_damaged_prefix_is_counted_and_the_image_sent_again() -> None:
    def hurt(number: int, raw: bytes) -> list[bytes]:
        changed = bytearray(raw)
        if number in (2, 7):
            changed[16 + number] ^= 0x10
        return [on_wire(bytes(changed))]

    device, pictures = SteeredDevice(fault=fragments_fault(hurt)), images(6)
    session = session_with(device, timeout_s=0.5)
    assert check(session.stream(enumerate(pictures)), pictures, lambda n: (40, 5)) == 6
    assert session.counters.frames_bad_prefix == 2 and session.counters.frames_damaged == 0


def test_codes_that_leave_early_are_asked_for_and_noticed() -> None:
    device = FakeDevice()
    session = session_with(device, Expected("toy", 0xA1B2C3D4, 4, 6, 8))
    kinds: list[int] = []
    device.fault = lambda kind, raw: kinds.append(kind) or [on_wire(raw)]  # type: ignore[func-returns-value]
    assert len(list(session.stream(enumerate(images(3))))) == 3
    assert kinds.count(CODES) == 3, "none is asked for"
    session.set_controls({"stream": 4})
    found = list(session.stream(enumerate(images(3))))
    assert kinds.count(CODES_PART) == 3 and len(found) == 3 and session.counters.controls_missed == 0
    session.set_controls({"stream": 0})
    assert len(list(session.stream(enumerate(images(3))))) == 3 and kinds.count(CODES) == 6


def test_the_identity_of_a_device_is_told() -> None:
    assert session_with(SteeredDevice(device_id=b"\x01\x02\xff")).connect().device_id == "0102ff"


def test_a_device_without_a_prefix_is_refused_where_the_bundle_needs_one() -> None:
    device = SteeredDevice()
    device.fault = lambda kind, raw: [on_wire(raw)]
    hello = device.hello
    device.hello = lambda: hello().replace(b"\x13\x01\x01", b"")  # type: ignore[method-assign]
    with pytest.raises(LinkError, match="without a prefix"):
        session_with(device).connect()


def test_settings_are_split_where_a_frame_holds_no_more() -> None:
    values = {number: number for number in range(1, 8)}
    assert control_payloads(values, 8) == [setting(n, n) + setting(n + 1, n + 1) for n in (1, 3, 5)] + [
        setting(7, 7)
    ]
    assert control_payloads(values, 1) == [setting(n, n) for n in values]
    assert control_payloads({}, 100) == []


def test_what_the_device_has_is_believed_until_there_is_doubt() -> None:
    steering = Steering(CONTROLS)
    assert steering.due(steering.wanted()) == {9: 40, 3: 5, 0: 0}, "nothing is known of it"
    steering.restart()
    assert steering.due(steering.wanted()) == {}
    steering.began(steering.wanted({"bytes": 9, "entry": 7}))
    assert steering.due(steering.wanted()) == {9: 40}, "what holds for one image needs no word"
    steering.doubt()
    assert steering.due(steering.wanted()) == {9: 40, 3: 5, 0: 0}


def fragment_of(offset: int, size: int = 1, *, last: bool = False, bits: int = 0, value: int = 7) -> Fragment:
    return Fragment(offset, bytes([offset % 256]) * size, b"", False, last, bits, (value,))


def test_fragments_that_contradict_each_other_are_none_of_the_image() -> None:
    assembly = Assembly()
    assert assembly.add(fragment_of(4, 4)) and assembly.add(fragment_of(4, 4))
    assert not assembly.add(fragment_of(5, 2)), "overlaps"
    assert not assembly.add(fragment_of(4, 5)), "another length at the same place"
    assert not assembly.add(fragment_of(0, 4, value=8)), "other controls"
    assert assembly.add(fragment_of(8, 2, last=True, bits=80)) and assembly.whole() is None
    assert not assembly.add(fragment_of(10, 2, last=True, bits=96)), "a second end"
    assert not assembly.add(fragment_of(0, 4, bits=96)), "another length of the whole"
    assert assembly.add(fragment_of(0, 4, bits=80))
    whole = assembly.whole()
    assert whole is not None and (whole.codes, whole.bits) == (b"\0" * 4 + b"\4" * 4 + b"\10" * 2, 80)


def test_a_device_that_sends_crumbs_without_end_is_not_believed() -> None:
    assembly = Assembly()
    taken = sum(assembly.add(fragment_of(offset)) for offset in range(FRAGMENTS_MAX + 500))
    assert taken == FRAGMENTS_MAX
    assert not assembly.add(fragment_of(5000, last=True, bits=8 * 5001)) and assembly.whole() is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_codes_behind_the_last_ones_are_none_of_the_image_and_fill_no_gap(order: tuple[int, ...]) -> None:
    def of(offset: int, size: int, *, last: bool = False, damaged: bool = False) -> Fragment:
        return Fragment(offset, bytes(size), b"", damaged, last, 8 * (offset + size) if last else 0)

    # Bytes 5 to 9 never came, and bytes 20 to 24 are behind the end.
    for parts in (
        (of(0, 5), of(20, 5), of(10, 5, last=True)),
        (of(0, 5), of(10, 5, damaged=True), of(10, 0, last=True)),
    ):
        assembly = Assembly()
        assert sum(assembly.add(parts[number]) for number in order) < len(parts)
        assert assembly.whole() is None
