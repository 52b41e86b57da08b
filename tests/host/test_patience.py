"""Waits on a bad line: learnt from the device, never longer than the time-out, with an end."""

from __future__ import annotations

import pytest

from fakes.link_device import CODES, CREDIT, HELLO, IMAGE_STATS, FakeDevice, on_wire
from fakes.toy_session import images, right_codes, run, session_with
from semflash.errors import LinkError
from semflash.link.core.patience import FLOOR_S, MARGIN, PERSEVERANCE, Patience, Search, Yield
from semflash.link.errors import LossyLineError, StalledError
from semflash.link.session import Outcome


def test_a_wait_follows_the_slowest_answers_of_late_between_floor_and_time_out() -> None:
    patience = Patience(5.0)
    assert patience.wait_s == 5.0
    patience.answered(0.001)
    assert patience.wait_s == FLOOR_S
    patience.answered(0.5)
    assert patience.wait_s == MARGIN * 0.5
    patience.answered(4.0)
    assert patience.wait_s == 5.0
    for _ in range(1000):
        patience.answered(0.001)
    assert patience.wait_s == FLOOR_S


def test_a_wait_doubles_in_silence_and_is_short_again_after_an_answer() -> None:
    patience = Patience(5.0)
    patience.answered(0.1)
    waits = []
    for _ in range(6):
        waits.append(patience.wait_s)
        patience.disappointed()
    assert waits == pytest.approx([0.8, 1.6, 3.2, 5.0, 5.0, 5.0])
    patience.answered(0.1)
    assert patience.wait_s == pytest.approx(0.8)


def test_hello_is_asked_with_growing_gaps_and_given_up_after_the_limit() -> None:
    search, asked, now = Search(100.0, 0.25, 6.0), [], 100.0
    while not search.over(now):
        if search.asks(now):
            asked.append(now - 100.0)
        now += 0.0625
    assert asked == [0.0, 0.25, 0.75, 1.75, 2.75, 3.75, 4.75, 5.75]
    assert now == 106.0


def test_hello_is_asked_soon_again_when_broken_frames_come_and_a_slow_device_not_too_often() -> None:
    search = Search(0.0, 0.25, 6.0)
    assert [now for now in (0.0, 0.25, 0.75, 1.75) if search.asks(now)] == [0.0, 0.25, 0.75, 1.75]
    search.stirred()
    assert not search.asks(1.9) and search.asks(2.0) and not search.asks(2.25)
    slow = Search(0.0, 4.0, 30.0)
    assert [now for now in range(20) if slow.asks(now)] == [0, 4, 8, 12, 16]


def test_frames_prolong_the_search_but_not_for_ever() -> None:
    search, now = Search(0.0, 0.25, 6.0), 0.0
    while not search.over(now):
        search.heard(now)
        now += 1.0
    assert now == PERSEVERANCE * 6.0


def test_a_device_is_given_up_for_silence_only_after_whole_time_outs_without_codes() -> None:
    fruit = Yield(2.0)
    fruit.codes(10.0)
    for _ in range(50):
        fruit.new_start(for_silence=True)
    fruit.gave_up(5)
    assert not fruit.is_over(15.9)
    assert fruit.is_over(16.0)
    fruit.paused(1.0)
    assert not fruit.is_over(16.9)
    fruit.codes(17.0)
    assert not fruit.is_over(100.0)


def test_a_device_that_refuses_or_leaps_is_given_up_at_once() -> None:
    refusing, leaping, losing = Yield(2.0), Yield(2.0), Yield(2.0)
    for _ in range(10):
        refusing.failed()
        refusing.gave_up(1)
        losing.gave_up(1)
    assert refusing.is_over(0.1) and refusing.in_vain(0.1)
    assert not losing.in_vain(1.9) and losing.in_vain(2.0)
    for _ in range(4):
        assert not leaping.is_over(0.1)
        leaping.new_start(for_silence=False)
    assert leaping.is_over(0.1)


def lossy(device: FakeDevice, lost: set[int], share: int = 10) -> None:
    """Lose the answers to images whose turn, modulo `share`, is in `lost`: codes, cost and credit."""
    turn = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal turn
        turn += kind == CREDIT
        return [] if turn % share in lost and kind != HELLO else [on_wire(raw)]

    device.fault = fault


def test_lost_answers_do_not_cost_a_whole_time_out_each() -> None:
    device, pictures = FakeDevice(rows_per_frame=4, window=1), images(60)
    lossy(device, {3})
    outcomes, session = run(device, pictures, timeout_s=10.0)
    assert right_codes(outcomes, pictures) == set(range(60))
    assert session.counters.resyncs >= 5
    assert device.now < 10.0, "one time-out alone is ten seconds"


def test_a_session_goes_on_when_three_answers_to_hello_are_lost_in_a_row() -> None:
    device, pictures = FakeDevice(rows_per_frame=4, window=1), images(60)
    lossy(device, {3})
    others, hellos = device.fault, 0
    assert others is not None

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal hellos
        if kind != HELLO:
            return others(kind, raw)
        hellos += 1
        return [on_wire(raw)] if hellos % 4 == 1 else [b"\x55" * 40 + b"\0"]

    device.fault = fault
    outcomes, session = run(device, pictures, timeout_s=2.0)
    assert right_codes(outcomes, pictures) == set(range(60))
    assert session.counters.resyncs >= 5 and hellos > 3 * session.counters.resyncs


def test_a_line_that_becomes_bad_is_not_blamed_on_the_baud_rate() -> None:
    device, pictures = FakeDevice(), images(50)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        return [on_wire(raw)] if codes < 20 else [on_wire(raw)[:9] + b"\0"]

    device.fault = fault
    received: list[Outcome] = []
    with pytest.raises(LossyLineError, match="only broken frames") as caught:
        for outcome in session_with(device, timeout_s=1.0).stream(enumerate(pictures)):
            received.append(outcome)
    assert right_codes(received, pictures) >= set(range(18))
    text = str(caught.value)
    assert "whole before" in text and "check the baud rate" not in text
    assert device.now < 10


def test_codes_that_never_come_end_the_session_though_credit_does() -> None:
    device = FakeDevice(rows_per_frame=4)
    device.fault = lambda kind, raw: [] if kind in (CODES, IMAGE_STATS) else [on_wire(raw)]
    ticks = device.read

    def read(size: int = 1) -> bytes:
        device.now += 0.01
        return ticks(size)

    device.read = read  # type: ignore[method-assign]
    with pytest.raises(StalledError):
        run(device, images(5000), timeout_s=1.0)
    assert device.now < 20


def test_statistics_are_asked_again_on_a_bad_line() -> None:
    device, asked = FakeDevice(), 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal asked
        asked += kind == 0x86
        return [] if kind == 0x86 and asked < 3 else [on_wire(raw)]

    device.fault = fault
    session = session_with(device, timeout_s=10.0)
    list(session.stream(enumerate(images(5))))
    assert session.link_stats().ok == 1
    device.fault = lambda kind, raw: []
    with pytest.raises(LinkError, match="link statistics"):
        session.link_stats()
