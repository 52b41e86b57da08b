"""The ledger of frame numbers against a plain model that knows what was sent."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash.link.counters import LinkCounters
from semflash.link.sequence import WINDOW, SequenceLedger


def counts(counters: LinkCounters) -> tuple[int, int, int]:
    return counters.frames_lost, counters.frames_duplicate, counters.frames_reordered


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 200_000), st.sampled_from([0.0, 0.01, 0.2]))
def test_lost_doubled_and_late_frames_are_counted_exactly(seed: int, first: int, rate: float) -> None:
    rng, counters = random.Random(seed), LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(first, 1000)
    stream: list[int] = []
    held: list[int] = []
    numbers = list(range(first + 1, first + 400))
    for number in numbers[:-1]:
        roll = rng.random()
        if roll < rate / 3:
            continue
        if roll < 2 * rate / 3:
            held.append(number)
            continue
        stream += [number] * (2 if roll < rate else 1)
        if held and rng.random() < 0.3:
            stream.append(held.pop())
    stream += [*held, numbers[-1]]
    for number in stream:
        ledger.see(number & 0xFFFF)
    came, newest, late, doubled = set(), first, 0, 0
    for number in stream:
        if number in came:
            doubled += 1
        else:
            late += number < newest
            came.add(number)
            newest = max(newest, number)
    assert counts(counters) == (len(numbers) - len(came), doubled, late)


def test_hello_accounts_for_silence_of_any_length() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(10, 1000)
    assert not ledger.hello(200_011, 2000)
    assert counters.frames_lost == 200_000


def test_a_restarted_device_is_told_from_a_doubled_hello() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(0, 1000)
    for number in range(1, 50_000):
        ledger.see(number & 0xFFFF)
    assert not ledger.hello(0, 1000), "the line doubled the first HELLO"
    for number in (0, 1, 2, 4):
        ledger.see(number)
    assert ledger.hello(5, 900)
    assert (counters.restarts, *counts(counters)) == (1, 1, 1, 0)


def test_a_reset_after_high_numbers_does_not_count_a_leap_as_losses() -> None:
    for last in (40_000, 65_533, 65_000, 300):
        counters = LinkCounters()
        ledger = SequenceLedger(counters)
        ledger.hello(0, 1000)
        for number in range(1, last):
            ledger.see(number & 0xFFFF)
        for number in range(4):
            ledger.see(number)
        assert ledger.hello(4, 500)
        assert (counters.restarts, *counts(counters)) == (1, 0, 0, 0), last


def test_numbers_far_from_the_one_due_ask_for_hello() -> None:
    ledger = SequenceLedger(LinkCounters())
    ledger.hello(0, 1000)
    assert not ledger.see(1)
    assert ledger.see(2 + WINDOW)
    assert ledger.see(0xFFFF - WINDOW)


def test_the_window_reaches_as_far_as_it_says_both_ways() -> None:
    for number, far in ((2, False), (1 + WINDOW, False), (2 + WINDOW, True)):
        ledger = SequenceLedger(LinkCounters())
        ledger.hello(1, 1000)
        assert ledger.see(number) == far
    for back, far in ((0, False), (WINDOW - 1, False), (WINDOW, True)):
        ledger = SequenceLedger(LinkCounters())
        ledger.hello(5000, 1000)
        assert ledger.see(5000 - back) == far


def test_one_number_far_away_is_not_believed() -> None:
    for strange in (12, 1500, 0x7000, 0x9000, 0xFFF0):
        counters = LinkCounters()
        ledger = SequenceLedger(counters)
        ledger.hello(3000, 1000)
        ledger.see(3001)
        assert ledger.see(strange)
        assert not ledger.see(3002)
        assert counts(counters) == (0, 1, 0), strange  # it came, so it counts; as a number nobody misses
        assert not ledger.hello(3003, 2000)
        assert (counters.restarts, *counts(counters)) == (0, 0, 1, 0)


def test_a_far_number_is_believed_with_the_next_one() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(10, 1000)
    assert ledger.see(3000)
    assert counts(counters) == (0, 0, 0)
    assert ledger.see(3002)
    assert counts(counters) == (2989 + 1, 0, 0)
    assert not ledger.see(3003)


def test_a_far_number_back_that_is_believed_is_a_duplicate_and_unmissed() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(5000, 1000)
    for number in (4999 - WINDOW, 5000 - WINDOW):
        assert ledger.see(number)
    assert counts(counters) == (0, 2, 0)


@pytest.mark.parametrize("sent", [2000, 40_000, 65_536 + 40_000])
def test_a_far_number_is_believed_when_hello_confirms_it(sent: int) -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(10, 1000)
    assert ledger.see(sent - 1 & 0xFFFF)
    assert not ledger.hello(sent, 2000)
    assert counts(counters) == (sent - 11 - 1, 0, 0)
    assert not ledger.see(sent + 1 & 0xFFFF)


def test_a_far_number_that_hello_does_not_confirm_is_a_duplicate() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(10, 1000)
    assert ledger.see(30_000)
    assert not ledger.hello(15, 2000)
    assert (counters.restarts, *counts(counters)) == (0, 4, 1, 0)


def test_a_reset_shows_by_a_clock_behind_what_any_frame_told() -> None:
    """Few frames were sent in both lives, and the new one's HELLO is later than the old one's was."""
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(18, 1000)
    for number in (19, 20, 25, 0, 1, 2):
        ledger.see(number)
    assert not ledger.hello(30, 2500, known_us=2000)
    for number in (31, 40, 0, 1, 2):
        ledger.see(number)
    assert ledger.hello(6, 2800, known_us=4000), "IMAGE_STATS had told of a later time"
    assert counters.restarts == 1


def test_hellos_of_an_earlier_life_say_nothing_about_this_one() -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(0, 1_000_000)
    ledger.see(1)
    assert ledger.hello(0, 500), "the clock went back"
    ledger.see(1)
    assert not ledger.hello(2, 900), "the clock goes on, though it was later in the life before"
    assert counters.restarts == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 65535), max_size=500))
def test_of_any_numbers_at_all_what_came_and_what_was_lost_is_what_was_sent(
    first: int, numbers: list[int]
) -> None:
    """The law of the ledger's docstring, which a HELLO long after everything else puts to the proof."""
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(first, 1000)
    for number in numbers:
        ledger.see(number)
    sent = first + (1 << 40)
    assert not ledger.hello(sent, 2000)
    came = len(numbers) - counters.frames_duplicate + 1  # each number once, and the HELLO
    assert sent - first == came + counters.frames_lost
    assert counters.frames_reordered <= len(numbers) and counters.restarts == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 65535), max_size=50),
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 9)), max_size=50),
)
def test_after_any_hellos_at_all_a_restarted_device_is_accounted_for_exactly(
    numbers: list[int], hellos: list[tuple[int, int]]
) -> None:
    counters = LinkCounters()
    ledger = SequenceLedger(counters)
    ledger.hello(0, 5)
    for number in numbers:
        ledger.see(number)
    for frames, uptime in hellos:
        ledger.hello(frames, uptime)
        ledger.see(frames & 0xFFFF)
    restarts = counters.restarts
    assert ledger.hello(0, 0, known_us=10), "its clock went back to 0"
    before = counts(counters)
    for number in (1, 2, 3, 5, 5):
        assert not ledger.see(number)
    lost, duplicate, reordered = before
    assert (counters.restarts, *counts(counters)) == (restarts + 1, lost + 1, duplicate + 1, reordered)
