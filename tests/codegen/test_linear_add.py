"""ADD as one linear form: against gemmlowp on every pair of inputs."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.fused.test_requantise import gemmlowp
from semflash_codegen.operators.linear_add import find_linear
from semflash_codegen.quantise import quantise_multiplier

_LEFT_SHIFT = 20


def tflites_bytes(scales: tuple[float, float, float], zeros: tuple[int, int, int], low: int) -> np.ndarray:
    """code + 128 of the sum of all pairs, by Python's integers."""
    twice = 2 * max(scales[:2])
    (mul_a, shift_a), (mul_b, shift_b) = (quantise_multiplier(scale / twice) for scale in scales[:2])
    mul_out, shift_out = quantise_multiplier(twice / ((1 << _LEFT_SHIFT) * scales[2]))
    wide = [
        [gemmlowp((code - zero) << _LEFT_SHIFT, m, s, 0, -(1 << 31), 1 << 31) for code in range(-128, 128)]
        for zero, m, s in ((zeros[0], mul_a, shift_a), (zeros[1], mul_b, shift_b))
    ]
    rows = [[gemmlowp(x + y, mul_out, shift_out, zeros[2], low, 127) + 128 for y in wide[1]] for x in wide[0]]
    return np.array(rows)


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_form_gives_tflites_bytes_for_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, output = (float(np.float32(value)) for value in rng.uniform(0.01, 0.2, 3))
    zeros = tuple(int(zero) for zero in rng.integers(-100, 100, 3))
    low = zeros[2] if seed % 2 else -128
    expected = tflites_bytes((a, b, output), (zeros[0], zeros[1], zeros[2]), low)
    form = find_linear(expected, a / output, b / output, low + 128, 255)
    assert form is not None
    codes = np.arange(256, dtype=np.int64)
    sums = form.a * codes[:, None] + form.b * codes[None, :] + form.c
    assert np.abs(sums).max() < 1 << 31, "a sum leaves 32 bits"
    assert np.array_equal((sums >> form.shift).clip(form.low, form.high), expected)


def test_bytes_that_no_line_gives_have_no_form() -> None:
    expected = (np.add.outer(np.arange(256), np.arange(256)) // 2).astype(np.int64)
    assert find_linear(expected, 0.5, 0.5, 0, 255) is not None
    expected[100, 100] += 3
    assert find_linear(expected, 0.5, 0.5, 0, 255) is None
