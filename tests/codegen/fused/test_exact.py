"""The exact requantisation and byte-mixed weights against a slow transcription of gemmlowp."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.fused.test_requantise import gemmlowp, layer
from semflash_codegen.fused.exact import exact, find_exact
from semflash_codegen.fused.mixed import padded_steps, turn_steps


@pytest.mark.parametrize("zero", [-128, -3, 0, 77, 127])
@pytest.mark.parametrize("low", [-128, -3])
def test_the_exact_form_is_gemmlowp_for_shifts_of_0_to_22(zero: int, low: int) -> None:
    rng = np.random.default_rng(zero + 200)
    tried = 0
    for shift in range(0, -23, -1):
        multipliers = [1 << 30, (1 << 31) - 1, *rng.integers(1 << 30, 1 << 31, 3).tolist()]
        spec = layer(multipliers, [shift] * 5, zero, low, 127)
        reach = np.full(5, min(1 << 29, 400 << -shift))
        form = find_exact(spec, -reach, reach)
        if form is None:
            assert shift == 0 and low < zero
            continue
        acc = rng.integers(-reach[:, None], reach[:, None] + 1, (5, 200))
        ties = np.array([[(k * 2 + 1) << -shift >> 1 for k in range(-40, 40)]] * 5)
        acc = np.concatenate([acc, ties, ties - 1, ties + 1, -reach[:, None], reach[:, None]], axis=1)
        acc = acc.clip(-reach[:, None], reach[:, None])
        expected = [
            [gemmlowp(int(a), m, shift, zero, low, 127) for a in row]
            for m, row in zip(multipliers, acc, strict=True)
        ]
        assert (exact(acc, form) - 128).tolist() == expected, shift
        tried += 1
    assert tried >= 22


def test_channels_of_different_shifts_keep_theirs_and_one_shift_is_said_once() -> None:
    reach = np.array([60_000, 60_000])
    assert find_exact(layer([1 << 30, 1 << 30], [-8, -9], 0, -128, 127), -reach, reach).shift == 0  # type: ignore[union-attr]
    assert find_exact(layer([1 << 30, 1 << 30], [-9, -9], 0, -128, 127), -reach, reach).shift == 9  # type: ignore[union-attr]


def test_a_channel_that_never_varies_is_a_constant_whatever_its_bias() -> None:
    spec = layer([1_200_000_000, 1_300_000_000, 1_400_000_000, 0], [-9, -31, 2, 0], -7, -128, 127)
    low = np.array([-50_000, -(1 << 30), 1 << 28, 5])
    high = np.array([50_000, -(1 << 30) + 900, (1 << 28) + 900, 90])
    form = find_exact(spec, low, high)
    assert form is not None and form.live.tolist() == [True, False, False, False]
    acc = np.stack([low, high], axis=1)
    assert (exact(acc, form) - 128).tolist() == [
        [gemmlowp(int(a), int(m), int(e), -7, -128, 127) for a in row]
        for row, m, e in zip(acc, spec.multiplier, spec.shift, strict=True)
    ]


@pytest.mark.parametrize(
    ("multiplier", "shift", "zero", "low_acc", "high_acc"),
    [
        (1 << 30, 1, 0, -100, 100),
        (1 << 30, -23, 0, -(1 << 29), 1 << 29),
        (1 << 30, 0, 0, -300, 300),
        (1 << 30, -8, 0, -(1 << 30), 1 << 30),
    ],
    ids=["left shift", "long right shift", "signed without a shift", "31 bits"],
)
def test_what_does_not_fit_has_no_exact_form(
    multiplier: int, shift: int, zero: int, low_acc: int, high_acc: int
) -> None:
    spec = layer([multiplier], [shift], zero, -128, 127)
    assert find_exact(spec, np.array([low_acc]), np.array([high_acc])) is None


def test_turns_cover_all_steps_and_hardly_more() -> None:
    for steps in range(1, 400):
        turn, padded = turn_steps(steps), padded_steps(steps)
        assert turn <= 10 and padded % turn == 0
        assert steps <= padded <= max(steps, int(steps * 1.2) + 1), (steps, turn)
