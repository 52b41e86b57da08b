"""Pictures of a board's own source over a session: whole, or an error that says what happened."""

from __future__ import annotations

from itertools import count

import pytest

from fakes.link_device import SOURCE_ROWS, FakeDevice, on_wire
from fakes.toy_session import images, once, right_codes, session_with
from semflash.errors import LinkError

ROW_BYTES, ROWS = 6, 4


def pictures() -> tuple[list[bytes], FakeDevice]:
    """What a device's source will give, and the device."""
    given = [bytes((number * 41 + place) % 256 for place in range(ROWS * ROW_BYTES)) for number in range(9)]
    numbers = count()
    return given, FakeDevice(source=lambda: given[next(numbers)])


def test_pictures_come_one_after_the_other_as_the_source_gives_them() -> None:
    given, device = pictures()
    session = session_with(device)
    assert [session.picture() for _ in range(9)] == given
    assert session.counters.frames_lost == 0 and session.counters.stale_answers == 0


def test_a_device_without_a_source_is_asked_nothing() -> None:
    with pytest.raises(LinkError, match="no source of its own") as caught:
        session_with(FakeDevice()).picture()
    assert "sf_device_show" in caught.value.remedy


@pytest.mark.parametrize("rows", range(ROWS))
def test_a_source_that_fails_is_said_so_and_the_next_picture_is_whole(rows: int) -> None:
    whole = bytes(range(ROWS * ROW_BYTES))
    given = iter([whole[: rows * ROW_BYTES], whole])
    session = session_with(FakeDevice(source=lambda: next(given)))
    with pytest.raises(LinkError, match="gave no picture"):
        session.picture()
    assert session.picture() == whole


@pytest.mark.parametrize("row", range(1, ROWS + 1))
@pytest.mark.parametrize("damage", ["lost", "damaged", "twice"])
def test_a_row_that_is_not_whole_spoils_its_picture_alone(row: int, damage: str) -> None:
    given, device = pictures()
    session = session_with(device, timeout_s=0.5)
    session.connect()

    def bad(kind: int, raw: bytes) -> list[bytes]:
        pieces = {
            "lost": [],
            "damaged": [on_wire(raw[:20] + bytes([raw[20] ^ 1]) + raw[21:])],
            "twice": [on_wire(raw), on_wire(raw)],
        }[damage]
        return once(SOURCE_ROWS, 1, pieces)(kind, raw)

    seen = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        seen += kind == SOURCE_ROWS
        return bad(kind, raw) if kind == SOURCE_ROWS and seen == row else [on_wire(raw)]

    device.fault = fault
    if damage == "twice" and row == ROWS:
        assert session.picture() == given[0]  # it was whole before the copy came
    else:
        with pytest.raises(LinkError, match=r"lost on the line|did not come"):
            session.picture()
    assert session.picture() == given[1]


def test_rows_of_a_picture_that_was_given_up_are_in_no_other() -> None:
    given, device = pictures()
    session = session_with(device, timeout_s=0.5)
    session.connect()
    held: list[bytes] = []

    def late(kind: int, raw: bytes) -> list[bytes]:
        held.append(on_wire(raw))
        return []

    device.fault = late
    with pytest.raises(LinkError, match="did not come"):
        session.picture()
    device.fault = None
    device.say(b"".join(held))
    assert session.picture() == given[1]
    assert session.counters.stale_answers == ROWS


def test_images_and_pictures_take_turns_on_one_session() -> None:
    given, device = pictures()
    session, shown = session_with(device), images(6)
    outcomes = list(session.stream(enumerate(shown[:3])))
    assert session.picture() == given[0]
    outcomes += list(session.stream(enumerate(shown[3:], start=3)))
    assert right_codes(outcomes, shown) == set(range(6))
