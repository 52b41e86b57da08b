"""The ledger of frame numbers against a plain model that knows what was sent."""

from __future__ import annotations

import random

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


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 65535), max_size=500),
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(0, 9))),
)
def test_any_numbers_at_all_are_taken(numbers: list[int], hellos: list[tuple[int, int]]) -> None:
    ledger = SequenceLedger(LinkCounters())
    for number in numbers:
        ledger.see(number)
    for frames, uptime in hellos:
        ledger.hello(frames, uptime)
        ledger.see(frames & 0xFFFF)
