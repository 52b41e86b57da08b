"""The range coder: round trip, length against entropy, any bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash.baselines.arithmetic import TOTAL, decode, encode, frequencies
from semflash.errors import UsageError


def fixed(ends: np.ndarray):
    """Tables (S, K + 1) that depend on the position only."""
    return lambda position, codes: np.broadcast_to(ends[position], (len(codes), ends.shape[1]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_encoded_is_decoded(data: st.DataObject):
    levels = data.draw(st.integers(1, 16))
    symbols, count = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    skew = data.draw(st.sampled_from([0.01, 0.3, 5.0]))
    share = rng.dirichlet([skew] * levels, symbols)
    codes = np.stack([rng.choice(levels, count, p=p) for p in share], 1).astype(np.uint8)
    tables = fixed(frequencies((share * 10_000).astype(np.int64)))
    assert (decode(encode(codes, tables), symbols, tables) == codes).all()


def test_codes_that_the_counts_never_saw_can_still_be_sent():
    tables = fixed(frequencies(np.tile([100_000, 0, 0, 0], (9, 1))))
    codes = np.array([[3, 2, 1, 0, 3, 3, 3, 2, 1], [0] * 9], np.uint8)
    streams = encode(codes, tables)
    assert (decode(streams, 9, tables) == codes).all() and len(streams[1]) <= 1 < len(streams[0])


def test_streams_are_as_long_as_the_entropy_says():
    rng = np.random.default_rng(0)
    share = np.array([0.7, 0.2, 0.06, 0.04])
    codes = rng.choice(4, (200, 400), p=share).astype(np.uint8)
    streams = encode(codes, fixed(frequencies(np.tile((share * 1e6).astype(np.int64), (400, 1)))))
    entropy_bytes = -(share * np.log2(share)).sum() * 400 / 8
    assert entropy_bytes - 1 < np.mean([len(stream) for stream in streams]) < entropy_bytes + 1.5


def test_tables_may_depend_on_the_codes_before():
    ends = frequencies(np.array([[90, 5, 5], [5, 90, 5], [5, 5, 90]]))
    tables = lambda position, codes: ends[codes[:, position - 1] if position else codes[:, 0] * 0]  # noqa: E731
    codes = np.repeat(np.random.default_rng(1).integers(0, 3, (50, 10), dtype=np.uint8), 8, axis=1)
    streams = encode(codes, tables)
    assert (decode(streams, 80, tables) == codes).all()
    assert np.mean([len(stream) for stream in streams]) < 80 * np.log2(3) / 8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_any_bytes_decode_to_some_codes(streams: list[bytes]):
    codes = decode(streams, 30, fixed(frequencies(np.tile([500, 1, 30, 2, 9], (30, 1)))))
    assert codes.shape == (len(streams), 30) and codes.max() < 5


def test_one_flipped_bit_at_the_front_spoils_most_of_what_follows():
    rng = np.random.default_rng(0)
    codes = rng.choice(4, (300, 100), p=[0.6, 0.2, 0.1, 0.1]).astype(np.uint8)
    tables = fixed(frequencies(np.tile([60, 20, 10, 10], (100, 1))))
    streams = [bytes([stream[0] ^ 0x40]) + stream[1:] for stream in encode(codes, tables)]
    assert (decode(streams, 100, tables) != codes).any(axis=1).all()


def test_frequencies_add_up_and_none_is_zero():
    ends = frequencies(np.array([[0, 0, 10**9, 1], [0, 0, 0, 0]]))
    assert (ends[:, -1] == TOTAL).all() and (ends[:, 0] == 0).all() and (np.diff(ends) >= 1).all()
    with pytest.raises(UsageError):
        frequencies(np.zeros((1, TOTAL)))
