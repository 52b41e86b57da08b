"""Kinds of channel quality, the channels that make them, and what pilots tell of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semflash.channels.modulation import bit_error_rate, demodulate, modulate
from semflash.channels.of_quality import BitErrors, SymbolNoise, channel_of
from semflash.errors import UsageError
from semflash.program.quality import KINDS, Ber, Snr

PAYLOADS = np.random.default_rng(2).integers(0, 256, (400, 30), np.uint8)


def test_symbols_are_pairs_of_bits_of_power_one_and_come_back() -> None:
    symbols = modulate(PAYLOADS)
    assert symbols.shape == (400, 120, 2)
    np.testing.assert_allclose((symbols**2).sum(-1), 1.0)
    bits = np.unpackbits(PAYLOADS, axis=1).reshape(400, 120, 2)
    np.testing.assert_array_equal(symbols < 0, bits == 1)
    np.testing.assert_array_equal(demodulate(symbols), PAYLOADS)


@pytest.mark.parametrize("snr_db", [-4.0, 0.0, 4.0, 8.0])
def test_noise_makes_as_many_wrong_bits_as_the_gaussian_tail(snr_db: float) -> None:
    channel = SymbolNoise()
    noisy = channel.damage(PAYLOADS, snr_db, channel.rng(5, snr_db))
    wrong, bits = int(np.bitwise_count(noisy ^ PAYLOADS).sum()), 8 * PAYLOADS.size
    # Q(x) by numerical integration of the normal density, which shares nothing with erfc
    start = math.sqrt(10 ** (snr_db / 10))
    grid = np.linspace(start, start + 12, 200_001)
    tail = float(np.trapezoid(np.exp(-(grid**2) / 2), grid)) / math.sqrt(2 * math.pi)
    assert bit_error_rate(snr_db) == pytest.approx(tail, rel=1e-6)
    assert wrong / bits == pytest.approx(tail, abs=4 * math.sqrt(tail / bits))


def test_a_clean_level_damages_nothing_and_levels_may_differ_by_payload() -> None:
    for quality in (Ber(0.0, 0.1), Snr(-5.0, 20.0)):
        channel = channel_of(quality)
        clean = channel.damage(PAYLOADS, quality.clean, channel.rng(0, quality.clean))
        np.testing.assert_array_equal(clean, PAYLOADS)
        levels = np.where(np.arange(400) < 200, quality.clean, quality.damaged)
        mixed = channel.damage(PAYLOADS, levels, channel.rng(0, quality.damaged)) != PAYLOADS
        assert not mixed[:200].any() and mixed[200:].any(axis=1).all()


@pytest.mark.parametrize(
    ("channel", "wrong", "text"),
    [
        (BitErrors(), 0.6, "between 0 and 0.5"),
        (BitErrors(), [0.1, 0.2], "one bit error rate"),
        (SymbolNoise(), 101.0, "between -100 and 100"),
        (SymbolNoise(), float("nan"), "between -100 and 100"),
        (SymbolNoise(), [1.0, 2.0], "one SNR"),
    ],
)
def test_levels_out_of_range_are_refused(channel, wrong, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        channel.damage(PAYLOADS[:3], wrong, np.random.default_rng(0))


def test_damage_depends_on_seed_level_and_index_alone() -> None:
    for channel, level in ((BitErrors(), 0.1), (SymbolNoise(), 3.0), (SymbolNoise(), -3.0)):
        draws = [
            channel.rng(*numbers).random()
            for numbers in ((1, level), (2, level), (1, level, 1), (1, level, 2))
        ]
        assert len(set(draws)) == 4 and channel.rng(1, level).random() == draws[0]
        assert channel.pilot_rng(1, level, 1).random() not in draws


@pytest.mark.parametrize("quality", [Ber(0.0, 0.1), Snr(-5.0, 20.0)])
def test_pilots_tell_the_level_that_is_injected(quality: Ber | Snr) -> None:
    channel = channel_of(quality)
    estimator = channel.estimator()
    assert estimator.value is None and estimator.estimate() is None
    assert estimator.add(b"", quality.damaged, channel.rng(0, quality.damaged)) == 0
    assert estimator.value is None
    for index in range(300):
        estimator.add(bytes(8), quality.damaged, channel.pilot_rng(0, quality.damaged, index))
    found = estimator.estimate()
    assert found is not None and found.low < quality.damaged < found.high
    assert found.low < found.value < found.high and estimator.value == pytest.approx(found.value)


def test_wrong_bits_of_the_line_itself_count_as_noise() -> None:
    channel = SymbolNoise()
    estimator = channel.estimator()
    assert estimator.add(b"\x80\x00\x00\x00", Snr.clean, channel.rng(0, Snr.clean)) == 1
    # one of 16 symbols is off by the distance of its I part, 2 x 0.7071: 2 / 16 of noise power
    assert estimator.value == pytest.approx(10 * math.log10(8.0))


def test_each_kind_knows_its_clean_level_its_order_and_its_words() -> None:
    for kind in KINDS.values():
        assert list(kind.steps) == sorted(kind.steps, reverse=kind.worse(0.0, 1.0))
        assert kind.steps[0] == kind.clean and all(
            kind.worse(b, a) for a, b in zip(kind.main, kind.main[1:], strict=False)
        )
        low, high = kind.limits
        levels = (*kind.steps, *kind.reported, *kind.main, kind.damaged, kind.compared)
        assert all(low <= level <= high for level in levels)
        assert kind.plotted_at(kind.clean) is None and kind.plotted_at(None) is None
    assert Ber(0.0, 0.1).told(0.7) == 0.5 and Snr(-5.0, 20.0).told(100.0) == 20.0
    assert (Ber.number(0.01), Snr.number(-5.0)) == ("1 %", "-5 dB")
    assert Ber.plotted_at(0.01) == -2.0 and Snr.plotted_at(3.0) == 3.0
