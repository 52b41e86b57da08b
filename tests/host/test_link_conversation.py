"""Frames that a device should not send, and what each is counted as, exactly."""

from __future__ import annotations

import struct

import pytest

from fakes.link_device import (
    CODES,
    CREDIT,
    FAULT,
    HELLO,
    IMAGE_STATS,
    LINK_STATS,
    REFUSED,
    FakeDevice,
    on_wire,
)
from fakes.toy_session import images, right_codes, session_with
from semflash.errors import LinkError


def counted(device: FakeDevice, *frames: tuple[int, bytes, int]) -> dict[str, int]:
    """Counters above zero after these frames came to a session at rest: (type, payload, request)."""
    session = session_with(device)
    session.connect()
    before = session.counters.as_dict()
    for kind, payload, request in frames:
        device.send(kind, payload, request)
    session.link_stats()
    after = session.counters.as_dict()
    skipped = ("frames_sent", "bytes_sent", "bytes_received", "dropped", "refused")
    return {
        key: after[key] - before[key] for key in after if key not in skipped and after[key] != before[key]
    }  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (IMAGE_STATS, 11),
        (IMAGE_STATS, 13),
        (CREDIT, 5),
        (CREDIT, 7),
        (REFUSED, 0),
        (REFUSED, 2),
        (LINK_STATS, 47),
        (LINK_STATS, 49),
        (HELLO, 96),
    ],
)
def test_a_frame_of_a_wrong_size_or_kind_is_unexpected_once(kind: int, size: int) -> None:
    found = counted(FakeDevice(), (kind, bytes(size), 7))
    assert found["unexpected"] == 1 and found["frames_ok"] == 2 and "stale_answers" not in found


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(CODES, bytes(8)), (IMAGE_STATS, bytes(12)), (REFUSED, b"\1"), (CREDIT, struct.pack("<IH", 900, 900))],
)
def test_an_answer_to_nothing_is_stale_once(kind: int, payload: bytes) -> None:
    found = counted(FakeDevice(), (kind, payload, 7))
    assert found["stale_answers"] == 1 and found["frames_ok"] == 2 and "unexpected" not in found


def test_crash_reports_are_counted_and_the_last_is_kept() -> None:
    device = FakeDevice()
    session = session_with(device)
    session.connect()
    device.send(FAULT, b"first")
    device.send(FAULT, b"second")
    session.link_stats()
    assert (session.counters.faults, session.fault_report) == (2, b"second")


def test_link_statistics_that_do_not_come_are_an_error_within_the_time() -> None:
    device = FakeDevice(fault=lambda kind, raw: [] if kind == LINK_STATS else [on_wire(raw)])
    session = session_with(device, timeout_s=3.0)
    session.connect()
    began = device.now
    with pytest.raises(LinkError, match="link statistics"):
        session.link_stats()
    assert 3.0 <= device.now - began < 3.2


def test_statistics_are_those_of_this_question() -> None:
    device = FakeDevice()
    session = session_with(device)
    session.connect()
    first = session.link_stats()
    device.fault = lambda kind, raw: [] if kind == LINK_STATS else [on_wire(raw)]
    with pytest.raises(LinkError):
        session.link_stats()
    assert first.ok == 1 and first.reordered == 12


def test_a_session_counts_what_was_sent_and_what_came_to_the_byte() -> None:
    device, pictures = FakeDevice(rows_per_frame=4), images(3)
    heard = bytearray()

    def hear(data: bytes) -> bytes:
        heard.extend(data)
        return data

    device.hear = hear
    session = session_with(device)
    assert right_codes(session.stream(enumerate(pictures)), pictures) == {0, 1, 2}
    rows = [piece for piece in bytes(heard).split(b"\0") if piece][1:]
    assert session.counters.frames_sent == len(rows) == 3
    assert session.counters.bytes_sent == sum(len(piece) + 1 for piece in rows)
    assert session.counters.frames_ok == 3 * 3 and session.unanswered == 0
    assert session.counters.images_resent == session.counters.images_lost == session.counters.resyncs == 0
