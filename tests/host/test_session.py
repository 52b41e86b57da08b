"""Sessions with a device that drops, damages, repeats, delays and lies."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pytest

from fakes.link_device import (
    CODES,
    CREDIT,
    HELLO,
    IMAGE_STATS,
    REFUSED,
    ROWS,
    FakeDevice,
    digest_codes,
    on_wire,
    split,
)
from fakes.toy_session import images, once, right_codes, run, session_with
from semflash.errors import DatasetError
from semflash.link.errors import PortVanishedError, StalledError
from semflash.link.session import Expected, Lost, Received, Session


def test_every_image_gets_its_codes_in_order_with_its_cost() -> None:
    device, pictures = FakeDevice(), images(20)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(20))
    assert [outcome.index for outcome in outcomes] == list(range(20))
    first = outcomes[0]
    assert isinstance(first, Received)
    assert (first.ticks, first.stack_bytes, first.attempt) == (1000, 512, 1)
    assert session.hello is not None
    assert session.hello.count(1000) == 3000
    counters = session.counters
    assert (counters.frames_lost, counters.frames_dropped, counters.stale_answers, counters.resyncs) == (
        0,
        0,
        0,
        0,
    )


def test_never_more_rows_frames_than_the_window_are_without_credit() -> None:
    device = FakeDevice(window=3, rows_per_frame=1)
    sent = credited = worst = 0

    def hear(data: bytes) -> bytes:
        nonlocal sent, worst
        from cobs import cobs

        sent += cobs.decode(data.strip(b"\0"))[1] == ROWS
        worst = max(worst, sent - credited)
        return data

    def fault(kind: int, raw: bytes) -> list[bytes]:
        late.append(on_wire(raw))
        return []

    late: list[bytes] = []
    read = device.read

    def slow_read(size: int = 1) -> bytes:
        nonlocal credited
        if not device.in_waiting and late:
            piece = late.pop(0)
            from cobs import cobs

            credited += cobs.decode(piece[:-1])[1] == CREDIT
            device.say(piece)
        return read(size)

    device.hear, device.fault, device.read = hear, fault, slow_read  # type: ignore[method-assign]
    outcomes, _ = run(device, images(6))
    assert len(outcomes) == 6
    assert worst == 3


def test_no_more_is_under_way_than_a_pseudo_terminal_holds() -> None:
    device = FakeDevice(window=500, rows=64, row_bytes=32, rows_per_frame=32)
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    written = 0

    def hear(data: bytes) -> bytes:
        nonlocal written
        written += len(data)
        return data

    expected = Expected("toy", 0xA1B2C3D4, 64, 32, 8)
    session = Session(device, expected, clock=device.clock)
    session.connect()
    device.hear = hear
    device.read = _ends  # type: ignore[method-assign]
    with pytest.raises(PortVanishedError):
        list(session.stream((i, np.zeros((64, 32), np.int8)) for i in range(100)))
    assert 1000 < written < 4096


def _ends(size: int = 1) -> bytes:
    raise PortVanishedError("the port vanished")


def test_request_numbers_are_never_used_twice_and_never_zero() -> None:
    numbers: list[int] = []
    device = FakeDevice(rows_per_frame=4)

    def hear(data: bytes) -> bytes:
        from cobs import cobs

        raw = cobs.decode(data.strip(b"\0"))
        if raw[1] == ROWS:
            numbers.append(split(raw)[1])
        return data

    device.hear = hear
    run(device, images(5), first_request=0xFFFF_FFFD)
    assert numbers == [0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF, 1, 2]


def test_sessions_begin_at_different_request_numbers() -> None:
    starts = set()
    for _ in range(5):
        outcomes, _ = run(FakeDevice(), images(1))
        starts.add(outcomes[0].request)  # type: ignore[union-attr]
    assert len(starts) == 5


def test_damaged_codes_are_delivered_and_flagged() -> None:
    device, pictures = FakeDevice(), images(6)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        if kind == CODES:
            raw = raw[:18] + bytes([raw[18] ^ 4]) + raw[19:]
        return [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert all(isinstance(o, Received) and o.damaged for o in outcomes)
    clean = digest_codes(pictures[0].tobytes(), 8)
    assert outcomes[0].payload == clean[:2] + bytes([clean[2] ^ 4]) + clean[3:]  # type: ignore[union-attr]
    assert session.counters.frames_damaged == 6


@pytest.mark.parametrize("kind", [CODES, CREDIT, IMAGE_STATS])
@pytest.mark.parametrize("number", [1, 2, 5, 10])
def test_a_lost_frame_of_any_type_costs_no_image(kind: int, number: int) -> None:
    device, pictures = FakeDevice(), images(10)
    device.fault = once(kind, number)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(10))
    # A loss at the very end shows no gap: nothing comes after it.
    assert session.counters.frames_lost in (0, 1)


def test_a_frame_torn_on_the_line_is_counted_and_its_image_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    device.fault = once(CODES, 3, [b"\x11\x22\x33\x00"])
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.frames_dropped == 1
    assert session.counters.frames_lost == 1
    assert session.counters.images_resent == 1


def test_rows_lost_on_the_way_are_refused_and_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    heard = 0

    def hear(data: bytes) -> bytes:
        nonlocal heard
        heard += 1
        return b"" if heard == 4 else data

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.images_resent >= 1


def test_damaged_rows_are_refused_and_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    heard = 0

    def hear(data: bytes) -> bytes:
        nonlocal heard
        heard += 1
        if heard != 5:
            return data
        from cobs import cobs

        raw = bytearray(cobs.decode(data.strip(b"\0")))
        raw[24] ^= 1
        return on_wire(bytes(raw))

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.refused == {1: 1}


def test_an_image_that_is_always_refused_is_lost_and_the_others_are_not() -> None:
    device, pictures = FakeDevice(rows_per_frame=4), images(6)
    bad = pictures[2].tobytes()

    def hear(data: bytes) -> bytes:
        from cobs import cobs

        raw = cobs.decode(data.strip(b"\0"))
        if raw[1] == ROWS and bad in raw:
            raw = raw[:-1] + bytes([raw[-1] ^ 1])
        return on_wire(raw)

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == {0, 1, 3, 4, 5}
    assert [o for o in outcomes if isinstance(o, Lost)] == [Lost(2, 3)]
    assert session.counters.images_lost == 1


def test_answers_sent_twice_are_counted_and_dropped() -> None:
    device, pictures = FakeDevice(), images(6)
    device.fault = lambda kind, raw: [on_wire(raw)] * (2 if kind == CODES else 1)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(6))
    assert session.counters.stale_answers == 6
    assert session.counters.frames_duplicate == 6


def test_an_answer_that_comes_after_its_image_was_sent_again_is_dropped() -> None:
    device, pictures = FakeDevice(), images(6)
    kept: list[bytes] = []
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if kind == CODES and codes == 2:
            kept.append(on_wire(raw))
            return []
        late = [kept.pop()] if kept and codes == 5 else []
        return [*late, on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(6))
    assert session.counters.stale_answers >= 1


def test_codes_for_a_request_nobody_made_are_dropped() -> None:
    device, pictures = FakeDevice(), images(4)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        strange = build(CODES, b"strange!", request=12345, bundle=device.bundle)
        return [on_wire(raw), on_wire(strange)] if kind == CREDIT else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures, first_request=700)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.stale_answers == 8


def test_codes_before_the_last_row_was_sent_are_no_answer() -> None:
    device, pictures = FakeDevice(window=1, rows_per_frame=1), images(3)
    first = 900

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        early = build(CODES, b"too soon", request=first, bundle=device.bundle)
        return [on_wire(raw), on_wire(early)] if kind == CREDIT else [on_wire(raw)]

    device.fault = fault
    outcomes, _ = run(device, pictures, first_request=first)
    assert right_codes(outcomes[1:], pictures) >= {1, 2}


def test_codes_of_the_wrong_size_and_of_another_bundle_are_dropped() -> None:
    device, pictures = FakeDevice(), images(20)
    device.encode = lambda image: b"short"
    with pytest.raises(StalledError):
        run(device, pictures)
    device = FakeDevice()
    device.fault = lambda kind, raw: [
        on_wire(raw) if kind == HELLO else on_wire(_with_bundle(raw, 0x0BAD0BAD))
    ]
    session = session_with(device, timeout_s=1.0)
    with pytest.raises(StalledError):
        list(session.stream(enumerate(pictures)))
    assert session.counters.foreign > 0


def _with_bundle(raw: bytes, bundle: int) -> bytes:
    from fakes.link_device import build

    kind, request, payload = split(raw)
    return build(kind, payload, request=request, bundle=bundle, sequence=struct.unpack_from("<H", raw, 2)[0])


def test_an_impossible_credit_does_not_open_the_window() -> None:
    device, pictures = FakeDevice(), images(5)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        forged = build(CREDIT, struct.pack("<IH", 4_000_000_000, 40_000), bundle=device.bundle)
        return [on_wire(raw), on_wire(forged)] if kind == CODES else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(5))
    assert session.counters.stale_answers == 5


def test_an_image_of_the_wrong_size_or_type_is_refused_before_it_is_sent() -> None:
    for wrong in (np.zeros((5, 6, 1), np.int8), np.zeros((4, 6, 1), np.uint8)):
        with pytest.raises(DatasetError, match="int8 with 24 values"):
            list(session_with(FakeDevice()).stream([(0, wrong)]))


def test_refused_for_an_unknown_image_changes_nothing() -> None:
    device, pictures = FakeDevice(), images(4)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        refusal = build(REFUSED, b"\2", request=4321, bundle=device.bundle)
        return [on_wire(raw), on_wire(refusal)] if kind == CODES else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures, first_request=10)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.refused == {}
    assert session.counters.images_resent == 0


def test_sequence_numbers_that_wrap_show_no_gap() -> None:
    device = FakeDevice()
    device._sequence = 0xFFF0
    _, session = run(device, images(10))
    assert (session.counters.frames_lost, session.counters.frames_reordered) == (0, 0)


def test_indices_of_the_caller_come_back_as_they_are() -> None:
    device, pictures = FakeDevice(), images(5)
    numbers = [40, 7, 9, 1000, 3]
    outcomes = list(session_with(device).stream(zip(numbers, pictures, strict=True)))
    assert [outcome.index for outcome in outcomes] == numbers
    assert all(a.request != b.request for a, b in pairwise(outcomes))  # type: ignore[union-attr]
