"""Projections and power normalisation in C against the golden device, exact integers, and floats."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash.program.reference.power import normalise
from semflash.program.reference.projection import project
from semflash.program.stages import Projection
from semflash.program.value_checks import check_projection, nominal_gain

STATES, CHANNELS, OUTPUTS = 8, 48, 2
SCALE = 4 * 0.5**0.5 / 127


def device_project(harness: Any, table: Projection, values: np.ndarray, zeros: tuple[int, int]) -> np.ndarray:
    """Positions (n, C) through harness_project, with the biases that the generator writes."""
    channels, outputs = values.shape[1], len(table.bias)
    weights = np.array(table.weights, np.int8)
    folded = np.array(table.bias) - zeros[0] * weights.reshape(outputs, channels).sum(axis=1, dtype=np.int64)
    arrays = (
        ("int8_t", weights),
        ("int32_t", folded.astype(np.int32)),
        ("int32_t", np.array(table.multiplier, np.int32)),
        ("int8_t", np.array(table.shift, np.int8)),
        ("int8_t", np.ascontiguousarray(values)),
    )
    cast = harness.ffi.cast
    out = np.full((len(values) + 1, outputs), 77, np.int8)
    pointers = [cast(f"const {kind} *", array.ctypes.data) for kind, array in arrays]
    pointer = cast("int8_t *", out.ctypes.data)
    assert harness.lib.harness_project(channels, outputs, zeros[1], *pointers, len(values), pointer) == 0
    assert (out[-1] == 77).all()
    return out[:-1]


def device_normalise(harness: Any, values: np.ndarray, zero_point: int, gain: int) -> np.ndarray:
    """Images (n, items) through harness_normalise."""
    cast = harness.ffi.cast
    values, out = np.ascontiguousarray(values), np.full(values.size + 1, 77, np.int8)
    pointers = cast("const int8_t *", values.ctypes.data), cast("int8_t *", out.ctypes.data)
    n, items = values.shape
    assert harness.lib.harness_normalise(gain, items, zero_point, pointers[0], n, pointers[1]) == 0
    assert out[-1] == 77
    return out[:-1].reshape(values.shape)


def random_projection(rng: np.random.Generator, channels: int, outputs: int) -> Projection:
    """Integers of all magnitudes whose sums stay in int32."""
    shift = rng.integers(-14, 4, outputs)
    return Projection(
        weights=rng.integers(-127, 128, outputs * channels).tolist(),
        bias=rng.integers(-(1 << 22), 1 << 22, outputs).tolist(),
        multiplier=rng.integers(1 << 30, 1 << 31, outputs).tolist(),
        shift=shift.tolist(),
    )


def exact_projection(table: Projection, vector: list[int], zeros: tuple[int, int]) -> list[int]:
    """The definition in Python's unbounded integers and fractions, position by position."""
    channels, result = len(vector), []
    for j, bias in enumerate(table.bias):
        weights = table.weights[j * channels : (j + 1) * channels]
        total = bias + sum(w * (q - zeros[0]) for w, q in zip(weights, vector, strict=True))
        shift = table.shift[j]
        product = Fraction(total * table.multiplier[j] * 2 ** max(shift, 0), 1 << 31)
        high = (product + Fraction(1, 2)).__floor__()  # to nearest, ties up
        real = Fraction(high, 1 << max(-shift, 0))
        magnitude = (abs(real) + Fraction(1, 2)).__floor__()  # to nearest, ties away from zero
        result.append(min(max((magnitude if real >= 0 else -magnitude) + zeros[1], -128), 127))
    return result


@settings(max_examples=80, deadline=None)
@given(
    *(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 6)),
    *(st.integers(-128, 127), st.integers(-128, 127)),
)
def test_projections_equal_the_formula_in_exact_integers(harness, seed, channels, outputs, zero, other):
    rng = np.random.default_rng(seed)
    table = random_projection(rng, channels, outputs)
    check_projection(table, channels, outputs, zero)
    values = rng.integers(-128, 128, (12, channels)).astype(np.int8)
    values[0], values[1] = -128, 127
    wanted = [exact_projection(table, vector, (zero, other)) for vector in values.tolist()]
    assert device_project(harness, table, values, (zero, other)).tolist() == wanted
    assert project(values, table, zero, other).tolist() == wanted


@pytest.mark.parametrize(
    ("shift", "values", "wanted"),
    [
        (-1, [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5], [-3, -2, -2, -1, -1, 0, 1, 1, 2, 2, 3]),
        (-3, [-13, -12, -11, -5, -4, -3, 3, 4, 5, 11, 12, 13], [-2, -2, -1, -1, -1, 0, 0, 1, 1, 1, 2, 2]),
    ],
)
def test_ties_of_the_second_rounding_go_away_from_zero(harness, shift, values, wanted):
    """Twice the value times one half is exact, so that only the shift rounds."""
    table = Projection([2], [0], [1 << 30], [shift])
    column = np.array(values, np.int8)[:, None]
    assert device_project(harness, table, column, (0, 0)).ravel().tolist() == wanted
    assert project(column, table, 0, 0).ravel().tolist() == wanted


def test_ties_of_the_first_rounding_go_up(harness):
    """A multiplier of 2^30 halves: -3/2 becomes -1 and 3/2 becomes 2."""
    table = Projection([1], [0], [1 << 30], [0])
    values = np.arange(-5, 6, dtype=np.int8)[:, None]
    wanted = [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3]
    assert device_project(harness, table, values, (0, 0)).ravel().tolist() == wanted
    assert project(values, table, 0, 0).ravel().tolist() == wanted


def test_the_largest_sums_that_pass_the_proof_do_not_leave_int32(harness):
    """At the edge of the proof, with a left shift and all values at their ends; one more is refused."""
    weights, most = [127, -127, 127], (1 << 31) - 256
    bias = (most >> 2) - (128 + 128) * 3 * 127
    table = Projection(weights, [bias], [(1 << 31) - 1], [2])
    check_projection(table, 3, 1, -128)
    with pytest.raises(Exception, match="leave int32"):
        check_projection(Projection(weights, [bias + 1], [(1 << 31) - 1], [2]), 3, 1, -128)
    for sign in (1, -1):
        both = Projection([sign * w for w in weights], [sign * bias], table.multiplier, table.shift)
        values = np.array([[127, -128, 127], [-128, 127, -128], [0, 0, 0]], np.int8)
        wanted = [exact_projection(both, v, (-128, 127)) for v in values.tolist()]
        assert device_project(harness, both, values, (-128, 127)).tolist() == wanted


def test_a_million_random_latents_give_the_same_values_in_c_and_python_for_each_state(harness):
    """Positions (1e6, 48) through 8 sets of integers; each 16 positions are one image of 32 values."""
    rng = np.random.default_rng(13)
    latents = rng.integers(-128, 128, (1_000_000, CHANNELS), dtype=np.int8)
    latents[:16], latents[16:32], latents[32:48] = -128, 127, -5
    gain = round(nominal_gain(32, SCALE))
    for _ in range(STATES):
        table = Projection(
            weights=rng.integers(-127, 128, OUTPUTS * CHANNELS).tolist(),
            bias=rng.integers(-5000, 5000, OUTPUTS).tolist(),
            multiplier=rng.integers(1 << 30, 1 << 31, OUTPUTS).tolist(),
            shift=rng.integers(-11, -7, OUTPUTS).tolist(),
        )
        projected = device_project(harness, table, latents, (-5, 0))
        assert (projected == project(latents, table, -5, 0)).all()
        images = projected.reshape(-1, 32)
        assert (device_normalise(harness, images, 0, gain) == normalise(images, 0, gain)).all()


def test_every_sum_of_squares_is_normalised_within_half_a_per_cent(harness):
    """A single large gain makes the factor visible: one value of 1 beside what fills the sum up.

    32 values reach sums of 32 x 255^2; all are tried up to 4,096, and then a dense sample.
    """
    sums = np.unique(np.concatenate([np.arange(1, 4097), np.geomspace(1, 32 * 255**2, 60_000).astype(int)]))
    images = np.array([squares_of(int(total)) for total in sums], np.int16)
    found_sums = (images.astype(np.int64) ** 2).sum(axis=1)
    values = (images - 128).astype(np.int8)  # with a zero point of -128 each is 0..255
    wanted_rms = 100
    gain = np.sqrt(32 * wanted_rms**2)  # so that the root of the mean square becomes 100
    found = device_normalise(harness, values, -128, round(gain * 256))
    exact = images * (gain / np.sqrt(found_sums))[:, None]
    unclipped = exact <= 126
    assert (np.abs(found - exact)[unclipped] <= 0.005 * exact[unclipped] + 0.5).all()
    assert (found[exact > 128] == 127).all()
    assert (found == normalise(values, -128, round(gain * 256))).all()


def squares_of(total: int) -> list[int]:
    """32 numbers of 0..255 whose squares have about this sum, the greatest first."""
    numbers = []
    for left in range(32, 0, -1):
        number = min(255, int((total / max(1, left // 8)) ** 0.5))
        numbers.append(number)
        total -= number * number
    return numbers


@settings(max_examples=200)
@given(
    st.lists(st.integers(-128, 127), min_size=2, max_size=64),
    st.integers(-128, 127),
    st.integers(1, (1 << 24) - 1),
)
def test_normalised_values_are_those_of_the_formula_in_exact_integers(harness, values, zero_point, gain):
    """The definition with Python's unbounded integers, from the text of reference/power.py."""
    q = [value - zero_point for value in values]
    total = sum(v * v for v in q)
    wanted = [0] * len(q)
    if total:
        exponent = -3
        while total >= 256 * Fraction(4) ** exponent:
            exponent += 1
        mantissa = (total / Fraction(4) ** exponent).__floor__()
        assert 64 <= mantissa < 256
        root = round(2**15 * (128 / (2 * mantissa + 1)) ** 0.5)
        factor = Fraction(gain, 1 << 8) * root / (1 << 15) / 8 / Fraction(2) ** exponent
        magnitudes = [min((abs(v) * factor + Fraction(1, 2)).__floor__(), 127) for v in q]
        wanted = [m if v >= 0 else -m for v, m in zip(q, magnitudes, strict=True)]
    row = np.array([values], np.int8)
    assert device_normalise(harness, row, zero_point, gain)[0].tolist() == wanted
    assert normalise(row, zero_point, gain)[0].tolist() == wanted


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
def test_a_black_image_is_all_zeros(harness, zero_point):
    values = np.full((3, 32), zero_point, np.int8)
    values[1, 7] = zero_point + (1 if zero_point < 127 else -1)
    found = device_normalise(harness, values, zero_point, round(nominal_gain(32, SCALE)))
    assert (found[[0, 2]] == 0).all() and (found[1] != 0).sum() == 1
    assert abs(int(found[1, 7])) == 127  # one value alone carries all the power, and is clipped at 4 sigma


def test_random_images_come_out_with_the_nominal_power(harness):
    """Against float64: power 1/2 for each value where nothing is clipped, whatever it was before."""
    rng = np.random.default_rng(3)
    spread = rng.uniform(4, 30, (20_000, 1))
    values = np.clip(np.rint(rng.normal(0, spread, (20_000, 32))), -128, 127).astype(np.int8)
    found = device_normalise(harness, values, 0, round(nominal_gain(32, SCALE))) * SCALE
    power = (found**2).mean(axis=1)
    unclipped = np.abs(found).max(axis=1) < 126 * SCALE
    assert unclipped.mean() > 0.9
    # rounded to steps of 1/32 of the deviation; small inputs have few different values, so errors add up
    assert np.abs(power[unclipped] / 0.5 - 1).max() < 2 * (0.5 * SCALE / 0.5**0.5 + 0.005)
    assert power[unclipped].mean() == pytest.approx(0.5, rel=2e-3)
    q = values.astype(np.float64)
    exact = q / np.sqrt((q * q).mean(axis=1, keepdims=True)) * 0.5**0.5
    assert np.abs(found - exact)[unclipped].max() < SCALE * (0.5 + 0.005 * 127)
