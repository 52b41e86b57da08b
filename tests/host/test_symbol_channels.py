"""Noise and fading on symbols, and the estimate of the SNR: variances, intervals, seeds, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from semflash.channels.awgn import add_noise, noise_power
from semflash.channels.gamma_interval import gamma_cdf, gamma_quantile
from semflash.channels.rayleigh import fade, to_complex
from semflash.channels.snr_estimate import SnrEstimator
from semflash.errors import UsageError

ONES = np.broadcast_to(np.array([1.0, 0.0]), (400, 250, 2))
QPSK = np.array([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j]) / np.sqrt(2)


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 13.0])
def test_white_noise_has_the_variance_of_its_snr_in_both_parts(snr_db: float):
    error = add_noise(ONES, snr_db, np.random.default_rng(1)) - ONES
    expected = 10 ** (-snr_db / 10) / 2
    assert np.allclose(error.var(axis=(0, 1)), expected, rtol=0.02)
    assert abs(np.corrcoef(error[..., 0].ravel(), error[..., 1].ravel())[0, 1]) < 0.01
    assert np.allclose(error.mean(axis=(0, 1)), 0, atol=5 * np.sqrt(expected / 100_000))


def test_each_message_meets_its_own_snr_and_the_power_scales_the_noise():
    error = add_noise(ONES[:2], [0.0, 20.0], np.random.default_rng(2), power=4.0) - ONES[:2]
    assert error[0].var() == pytest.approx(2.0, rel=0.2) and error[1].var() == pytest.approx(0.02, rel=0.2)


def test_the_gain_of_a_fading_channel_has_power_one_and_an_exponential_distribution():
    faded = fade(ONES, 300.0 - 200.0, np.random.default_rng(3), block=10)
    power = np.abs(faded.gains[:, ::10]) ** 2
    assert power.mean() == pytest.approx(1.0, rel=0.03)
    assert (power < 0.1).mean() == pytest.approx(1 - np.exp(-0.1), rel=0.1)


def test_a_block_shares_its_gain_and_the_next_one_has_another():
    gains = fade(ONES[:1], 10.0, np.random.default_rng(4), block=100).gains[0]
    assert len(set(gains[:100])) == 1 and len(set(gains)) == 3


def test_equalising_takes_the_gain_away_and_leaves_noise_of_the_blocks_snr():
    faded = fade(ONES, 10.0, np.random.default_rng(5))
    error = to_complex(faded.equalised - ONES)
    measured = -10 * np.log10((np.abs(error) ** 2).mean(axis=1))
    assert np.allclose(measured, faded.snr_db[:, 0], atol=1.2)


@pytest.mark.parametrize("snr_db", [101.0, -101.0, float("nan"), float("inf")])
def test_an_snr_that_is_none_is_refused(snr_db: float):
    with pytest.raises(UsageError, match="SNR"):
        noise_power(snr_db)


def test_symbols_of_another_shape_blocks_of_none_and_no_power_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="messages, symbols, 2"):
        add_noise(np.zeros((3, 2)), 0.0, rng)
    with pytest.raises(UsageError, match="block"):
        fade(ONES, 0.0, rng, block=0)
    with pytest.raises(UsageError, match="power"):
        add_noise(ONES, 0.0, rng, power=0.0)


def test_the_gamma_distribution_is_scipys():
    stats = pytest.importorskip("scipy.stats", reason="SciPy, the reference, comes with make setup-test")
    for shape in (0.5, 1.0, 3.7, 40.0, 900.0):
        for x in (0.01 * shape, 0.5 * shape, shape, 2 * shape):
            assert gamma_cdf(x, shape) == pytest.approx(stats.gamma.cdf(x, shape), rel=1e-9, abs=1e-13)
        for share in (0.025, 0.5, 0.975):
            assert gamma_quantile(share, shape) == pytest.approx(stats.gamma.ppf(share, shape), rel=1e-8)


def _pilots(
    snr_db: float, messages: int, each: int, rng: np.random.Generator, *, fading: bool
) -> SnrEstimator:
    estimator = SnrEstimator(fading=fading)
    for _ in range(messages):
        sent = rng.choice(QPSK, each)
        gain = complex(*rng.standard_normal(2)) / np.sqrt(2) if fading else 1.0
        spread = np.sqrt(10 ** (-snr_db / 10) / 2)
        noise = spread * (rng.standard_normal(each) + 1j * rng.standard_normal(each))
        estimator.add(gain * sent + noise, sent)
    return estimator


@pytest.mark.parametrize("snr_db", [-10.0, 3.0, 25.0])
def test_the_interval_of_the_snr_holds_the_truth_as_often_as_it_says(snr_db: float):
    rng = np.random.default_rng(6)
    found = [_pilots(snr_db, 40, 8, rng, fading=False).estimate() for _ in range(200)]
    inside = sum(each is not None and each.low_db <= snr_db <= each.high_db for each in found)
    assert 181 <= inside <= 199  # 95 % of 200, four standard deviations either way


def test_the_noise_over_a_fading_channel_is_not_taken_for_the_gains():
    estimator = _pilots(0.0, 600, 8, np.random.default_rng(7), fading=True)
    assert estimator.noise_power == pytest.approx(1.0, rel=0.1)
    assert estimator.value_db == pytest.approx(0.0, abs=1.0)


def test_old_pilots_are_forgotten():
    rng = np.random.default_rng(8)
    estimator = SnrEstimator(window=64)
    for snr_db in (30.0, 0.0):
        spread = np.sqrt(10 ** (-snr_db / 10) / 2)
        for _ in range(60):
            noise = spread * (rng.standard_normal(8) + 1j * rng.standard_normal(8))
            estimator.add(QPSK.repeat(2) + noise, QPSK.repeat(2))
    assert estimator.value_db == pytest.approx(0.0, abs=1.5)


def test_pilots_without_noise_read_as_the_highest_ratio_and_too_few_are_refused():
    estimator = SnrEstimator()
    assert estimator.estimate() is None
    estimator.add(QPSK, QPSK)
    assert estimator.value_db == 100.0
    with pytest.raises(UsageError, match="2 symbols"):
        SnrEstimator(fading=True).add(QPSK[:1], QPSK[:1])
    with pytest.raises(UsageError, match="window"):
        SnrEstimator(window=1)
