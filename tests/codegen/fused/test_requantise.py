"""The cheap requantisation against a slow transcription of gemmlowp, value by value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semflash_codegen.fused.requantise import Channelwise, agrees, cheap, find_form, reference, steps


def gemmlowp(acc: int, multiplier: int, shift: int, zero: int, low: int, high: int) -> int:
    """MultiplyByQuantizedMultiplier of tensorflow/lite/kernels/internal/common.h, in Python's integers."""
    left, right = max(shift, 0), max(-shift, 0)
    product = (acc << left) * multiplier
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    value = total // (1 << 31) if total >= 0 else -(-total // (1 << 31))
    mask = (1 << right) - 1
    remainder = value & mask
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    rounded = (value >> right) + (1 if remainder > threshold else 0)
    return min(max(rounded + zero, low), high)


def layer(multipliers: list[int], shifts: list[int], zero: int, low: int, high: int) -> Channelwise:
    return Channelwise(np.array(multipliers), np.array(shifts), zero, low, high)


def spans(low: list[int], high: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bounds = np.array(low), np.array(high)
    return (*bounds, np.maximum(np.abs(bounds[0]), np.abs(bounds[1])))


def test_the_reference_is_gemmlowp() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        m, e, zero = (
            int(rng.integers(1 << 30, 1 << 31)),
            int(rng.integers(-20, 4)),
            int(rng.integers(-128, 128)),
        )
        acc = rng.integers(-(1 << 22), 1 << 22, 50)
        got = reference(acc[None, :], layer([m], [e], zero, -128, 127))[0]
        assert got.tolist() == [gemmlowp(int(a), m, e, zero, -128, 127) for a in acc]


@pytest.mark.parametrize("signed", [False, True])
def test_a_proven_form_equals_gemmlowp_on_every_reachable_accumulator(signed: bool) -> None:
    rng = np.random.default_rng(2 + signed)
    for _ in range(6):
        m, e = int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(-12, -6))
        zero = int(rng.integers(-100, 100)) if signed else -128
        low, high, bound = spans([-60_000], [60_000])
        spec = layer([m], [e], zero, -128, 127)
        form = find_form(spec, low, high, bound)
        assert form is not None and form.signed == signed
        acc = np.arange(low[0], high[0] + 1)
        expected = [gemmlowp(int(a), m, e, zero, -128, 127) for a in acc[::7]]
        assert (cheap(acc[None, :], form)[0] - 128)[::7].tolist() == expected


def test_ties_of_negative_values_round_away_from_zero() -> None:
    spec = layer([1 << 30], [-3], 0, -128, 127)  # a / 16: ties at every odd multiple of 8
    low, high, bound = spans([-3000], [3000])
    form = find_form(spec, low, high, bound)
    assert form is not None and form.signed
    acc = np.arange(-3000, 3001)
    assert (cheap(acc[None, :], form)[0] - 128).tolist() == [
        gemmlowp(int(a), 1 << 30, -3, 0, -128, 127) for a in acc
    ]


@pytest.mark.parametrize("field", ["b", "m", "d"])
def test_the_proof_refuses_a_form_that_is_off_by_a_little(field: str) -> None:
    spec = layer([1_500_000_001], [-8], 5, -128, 127)
    low, high, bound = spans([-50_000], [50_000])
    form = find_form(spec, low, high, bound)
    points = steps(spec, low, high)
    expected = reference(points, spec)
    assert form is not None and agrees(form, points, expected)
    wrong = getattr(form, field) + (1 << 22 if field == "m" else 1 << (form.s - 3))
    assert not agrees(replace(form, **{field: wrong}), points, expected)


def test_a_dead_channel_beside_a_live_one_has_a_proven_form() -> None:
    spec = layer([1_300_000_000, 1_200_000_000, 0], [-9, -28, 0], -128, -128, 127)
    low, high, bound = spans([-80_000, 40, -10], [80_000, 40, 10])
    form = find_form(spec, low, high, bound)
    assert form is not None
    acc = np.array([[-80_000, 1, 80_000], [40, 40, 40], [-10, 0, 10]])
    assert (cheap(acc, form) - 128 == reference(acc, spec)).all()


def test_scales_that_no_common_shift_covers_have_no_cheap_form() -> None:
    spec = layer([1 << 30, 1 << 30], [-2, -14], 0, -128, 127)
    low, high, bound = spans([-4_000_000, -4_000_000], [4_000_000, 4_000_000])
    assert find_form(spec, low, high, bound) is None
