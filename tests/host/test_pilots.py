"""Pilots against the definition of docs/wire-format.md, and the estimate against exact binomial sums."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.link_device import FakeDevice, on_wire, pilot_pattern, with_pilots
from fakes.toy_session import images, right_codes, run
from semflash.channels.ber_estimate import BerEstimator
from semflash.channels.beta_interval import beta_cdf, beta_quantile
from semflash.errors import UsageError
from semflash.link.codes import pilots
from semflash.link.outcome import Received


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=1, max_size=300),
    st.integers(0, 40),
)
def test_pilots_equal_the_definition_and_come_apart_again(
    bundle: int, sequence: int, request: int, codes: bytes, count: int
) -> None:
    values = bytes(pilot_pattern(bundle, sequence, request, count))
    assert pilots.pattern(bundle, sequence, request, count) == values
    payload = pilots.merge(codes, values)
    assert payload == with_pilots(codes, bundle, sequence, request, count)
    assert pilots.split(payload, count) == (codes, values)
    assert pilots.difference(values, bundle, sequence, request) == bytes(count)


def test_pilot_bits_are_balanced_and_differ_from_frame_to_frame() -> None:
    patterns = [pilots.pattern(0xA1B2C3D4, sequence, 7, 4) for sequence in range(65536)]
    assert len(set(patterns)) > 65500
    ones = [sum(value[byte] >> bit & 1 for value in patterns) for byte in range(4) for bit in range(8)]
    assert all(abs(count / 65536 - 0.5) < 0.01 for count in ones)


def exact_binomial(k: int, n: int, p: Fraction) -> Fraction:
    """P(at least k of n), exactly."""
    return sum((math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)), Fraction(0))


@pytest.mark.parametrize(
    ("k", "n", "p"), [(1, 10, (1, 20)), (3, 50, (1, 10)), (40, 60, (1, 2)), (2, 200, (1, 100))]
)
def test_the_beta_distribution_equals_exact_binomial_sums(k: int, n: int, p: tuple[int, int]) -> None:
    x = Fraction(*p)
    assert beta_cdf(float(x), k, n - k + 1) == pytest.approx(float(exact_binomial(k, n, x)), rel=1e-10)


@pytest.mark.parametrize("b", [1.5, 32.5, 8000.5, 1e6])
def test_quantiles_equal_the_closed_form_where_there_is_one(b: float) -> None:
    for share in (0.025, 0.5, 0.975):
        assert beta_quantile(share, 1.0, b) == pytest.approx(-math.expm1(math.log1p(-share) / b), rel=1e-9)
        assert beta_cdf(beta_quantile(share, 3.7, b), 3.7, b) == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("ber", [0.0, 1e-3, 0.02, 0.1])
def test_the_interval_holds_the_true_rate_about_as_often_as_it_says(ber: float) -> None:
    rng, held, runs = random.Random(5), 0, 200
    for _ in range(runs):
        estimator = BerEstimator(1 << 30)
        for _ in range(100):
            estimator.add(sum(rng.random() < ber for _ in range(32)), 32)
        estimate = estimator.estimate()
        assert estimate is not None and estimate.low <= estimate.value <= estimate.high
        held += estimate.low <= max(ber, 1e-9) * (1 if ber else 1e5) and estimate.high >= ber
    assert held >= 0.88 * runs


@pytest.mark.parametrize(("wrong", "bits"), [(0, 32), (1, 32), (5, 16), (31, 64)])
def test_the_first_frame_gives_the_mean_of_jeffreys_posterior(wrong: int, bits: int) -> None:
    estimator = BerEstimator(1 << 30)
    estimator.add(wrong, bits)
    assert estimator.value == pytest.approx(float(Fraction(2 * wrong + 1, 2 * bits + 2)), rel=1e-6)
    found = estimator.estimate()
    assert found is not None and found.bits == pytest.approx(bits, rel=1e-6)


@pytest.mark.parametrize(("window", "frames"), [(256, 3), (256, 40), (1000, 200)])
def test_weighted_bits_count_as_many_as_vary_like_them(window: int, frames: int) -> None:
    """Kish's effective size and the weighted share, summed bit by bit here."""
    bits, wrong = 32, [frame % 5 for frame in range(frames)]
    estimator = BerEstimator(window)
    for errors in wrong:
        estimator.add(errors, bits)
    weights = [math.exp(-bits * (frames - 1 - frame) / window) for frame in range(frames)]
    total, squares = bits * sum(weights), bits * sum(w * w for w in weights)
    effective = total**2 / squares
    share = sum(w * errors for w, errors in zip(weights, wrong, strict=True)) / total
    estimate = estimator.estimate()
    assert estimate is not None
    assert estimate.bits == pytest.approx(effective, rel=1e-9)
    assert estimate.value == pytest.approx((share * effective + 0.5) / (effective + 1), rel=1e-9)
    assert beta_cdf(estimate.low, share * effective + 0.5, (1 - share) * effective + 0.5) == pytest.approx(
        0.025
    )


def test_old_bits_are_forgotten_within_the_window() -> None:
    estimator = BerEstimator(1000)
    for _ in range(100):
        estimator.add(16, 32)
    assert estimator.value == pytest.approx(0.5, abs=0.01)
    for _ in range(200):
        estimator.add(0, 32)
    assert estimator.value is not None and estimator.value < 0.003
    with pytest.raises(UsageError):
        BerEstimator(1)


def test_the_session_takes_pilots_out_and_counts_wrong_ones() -> None:
    def fault(kind: int, raw: bytes) -> list[bytes]:
        # One bit of the first pilot and one of the codes behind it.
        return [on_wire(raw[:16] + bytes([raw[16] ^ 1, raw[17] ^ 8]) + raw[18:] if kind == 0x82 else raw)]

    device, pictures = FakeDevice(pilot_bytes=3, fault=fault), images(5)
    outcomes, session = run(device, pictures)
    assert all(isinstance(o, Received) and o.damaged and o.pilot_errors == b"\1\0\0" for o in outcomes)
    assert all(len(o.payload) == 8 for o in outcomes if isinstance(o, Received))
    assert (session.counters.pilot_bits, session.counters.pilot_bit_errors) == (5 * 24, 5)


def test_without_faults_pilots_are_right_and_stamps_rise() -> None:
    device, pictures = FakeDevice(pilot_bytes=4), images(20)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(20))
    assert session.counters.pilot_bit_errors == 0
    stamps = [o.device_us for o in outcomes if isinstance(o, Received)]
    assert None not in stamps and stamps == sorted(stamps)  # type: ignore[type-var]
