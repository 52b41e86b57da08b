"""The device tail and the bit packing against exact integers, the tail's definition in floats, and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LIMIT = 2**63 - 1


def random_tail(rng: np.random.Generator, channels: int, levels: int) -> tuple[np.ndarray, ...]:
    """beta int64, gamma int32 (i, c), threshold int32 (c, levels-1) whose products stay in int64."""
    gamma = rng.integers(0, 8000, (channels, channels))
    gamma[rng.random(gamma.shape) < 0.4] = 0
    beta = rng.integers(1, 20_000_000, channels)
    largest_den = int(beta.max()) + 65025 * int(gamma.sum(0).max())
    bound = min(2**31 - 1, LIMIT // largest_den)
    threshold = np.sort(
        rng.integers(-bound, bound, (channels, levels - 1)) // rng.integers(1, 4000, (1, 1)), axis=1
    )
    return beta.astype(np.int64), gamma.astype(np.int32), threshold.astype(np.int32)


def exact_codes(latents, zero_point, beta, gamma, threshold) -> list[list[int]]:
    """The formula of stages.h in Python's unbounded integers, counting every threshold."""
    result = []
    for vector in latents.tolist():
        q = [value - zero_point for value in vector]
        codes = []
        for c, value in enumerate(q):
            den = int(beta[c]) + sum(int(gamma[i, c]) * x * x for i, x in enumerate(q))
            signed = value * abs(value) * 2**40
            codes.append(sum(signed > int(t) * den for t in threshold[c]))
        result.append(codes)
    return result


def device_codes(harness, latents, zero_point, beta, gamma, threshold) -> np.ndarray:
    """Codes of harness_gdn."""
    ffi = harness.ffi
    codes = np.zeros(latents.shape, np.uint8)
    arrays = [np.ascontiguousarray(a) for a in (beta, gamma, threshold, latents)]
    kinds = ("int64_t", "int32_t", "int32_t", "int8_t")
    pointers = [ffi.cast(f"const {k} *", a.ctypes.data) for k, a in zip(kinds, arrays, strict=True)]
    status = harness.lib.harness_gdn(
        latents.shape[1],
        threshold.shape[1] + 1,
        zero_point,
        *pointers,
        len(latents),
        ffi.cast("uint8_t *", codes.ctypes.data),
    )
    assert status == 0
    return codes


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 16), st.integers(-128, 127))
def test_gdn_codes_equal_the_formula_in_exact_integers(harness, seed, channels, levels, zero_point):
    rng = np.random.default_rng(seed)
    tail = random_tail(rng, channels, levels)
    latents = rng.integers(-128, 128, (40, channels)).astype(np.int8)
    latents[0], latents[1] = -128, 127
    codes = device_codes(harness, latents, zero_point, *tail)
    assert codes.tolist() == exact_codes(latents, zero_point, *tail)


def test_on_a_threshold_the_lower_code_wins(harness):
    """beta = 2^20 and no gamma: q^2 2^40 = threshold den exactly where threshold = q^2 2^20."""
    squares = np.array([-49, -36, -25, -16, -9, -4, -1, 0, 1, 4, 9, 16, 25, 36, 49])  # of q = -7 .. 7
    tail = (np.array([1 << 20]), np.array([[0]], np.int32), (squares[None] << 20).astype(np.int32))
    latents = np.arange(-8, 9, dtype=np.int8)[:, None]
    codes = device_codes(harness, latents, 0, *tail).ravel().tolist()
    assert codes == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def test_gdn_codes_are_those_of_gdn_prelu_and_the_nearest_centre_in_floats(harness):
    """The definition has a root, a division and a distance; only near ties may fall to the neighbour."""
    rng = np.random.default_rng(5)
    channels, scale, zero_point = 8, 0.016, -2
    gamma, beta = rng.uniform(0, 0.1, (channels, channels)), rng.uniform(0.01, 0.07, channels)
    alpha, centres = rng.uniform(0.2, 0.6, channels), np.array([-1.2, -0.7, -0.3, -0.1, 0.15, 0.7, 1.2, 2.4])
    middles = (centres[1:] + centres[:-1]) / 2
    pulled = np.where(middles >= 0, middles, middles / alpha[:, None])
    integers = (
        np.round(beta / scale**2 * 2**16).astype(np.int64),
        np.round(gamma * 2**16).astype(np.int32),
        np.round(np.sign(pulled) * pulled**2 * 2**24).astype(np.int32),
    )
    latents = rng.integers(-128, 128, (5000, channels)).astype(np.int8)
    codes = device_codes(harness, latents, zero_point, *integers)

    x = (latents.astype(np.float64) - zero_point) * scale
    y = x / np.sqrt(beta + (x * x) @ gamma)
    y = np.where(y >= 0, y, alpha * y)
    nearest = np.abs(y[..., None] - centres).argmin(-1)
    differs = codes != nearest
    assert differs.mean() < 1e-3
    distance_to_tie = np.abs(y[..., None] - middles).min(-1)
    assert (distance_to_tie[differs] < 1e-3).all()
    assert set(np.unique(codes)) == set(range(8))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_table_codes_are_looked_up_per_channel(harness, seed, channels):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 256, (channels, 256)).astype(np.uint8)
    latents = rng.integers(-128, 128, (30, channels)).astype(np.int8)
    codes = np.zeros(latents.shape, np.uint8)
    cast = harness.ffi.cast
    status = harness.lib.harness_table(
        channels,
        cast("const uint8_t *", table.ctypes.data),
        cast("const int8_t *", latents.ctypes.data),
        len(latents),
        cast("uint8_t *", codes.ctypes.data),
    )
    assert status == 0
    assert (codes == table[np.arange(channels), latents.astype(int) + 128]).all()


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 9), st.integers(2, 16), st.integers(0, 40)
)
def test_an_order_sends_codes_by_falling_score_and_equal_ones_in_raster_order(
    harness, seed, positions, channels, levels, step
):
    """Score: 16 for a level of saliency, less step for a channel; a level too high is the highest."""
    rng = np.random.default_rng(seed)
    saliency = rng.integers(0, levels + 2, positions).astype(np.uint8)
    codes = rng.integers(0, 256, (positions, channels)).astype(np.uint8)
    raster = [
        (step * c - 16 * min(int(saliency[p]), levels - 1), int(codes[p, c]))
        for p in range(positions)
        for c in range(channels)
    ]
    ffi = harness.ffi
    places = ffi.new("uint16_t[]", 16 * (levels - 1) + step * (channels - 1) + 1)
    got = np.full(codes.size + 16, 0xA5, np.uint8)
    pointers = [ffi.cast("uint8_t *", a.ctypes.data) for a in (saliency, codes, got[8:])]
    used = harness.lib.harness_order(
        positions, channels, levels, step, pointers[0], pointers[1], places, pointers[2]
    )
    assert used == len(places)
    assert got[8:-8].tolist() == [code for _, code in sorted(raster, key=lambda item: item[0])]
    assert set(got[:8].tolist() + got[-8:].tolist()) == {0xA5}


@settings(max_examples=80)
@given(
    st.integers(1, 60), st.integers(1, 40), st.integers(1, 8), st.sampled_from([0, 1, 2, 7, 64]), st.data()
)
def test_codes_are_packed_most_significant_bit_first_and_padded_with_zeros(
    harness, positions, channels, bits, poll_bytes, data
):
    seed = data.draw(st.integers(0, 2**32 - 1))
    codes = np.random.default_rng(seed).integers(0, 2**bits, (positions, channels)).astype(np.uint8)
    as_bits = np.unpackbits(codes.reshape(-1, 1), axis=1)[:, 8 - bits :]
    expected = np.packbits(as_bits.reshape(-1)).tobytes()
    out = harness.ffi.new("uint8_t[]", len(expected))
    n = harness.lib.harness_pack(positions, channels, bits, codes.tobytes(), poll_bytes, out, len(expected))
    assert bytes(harness.ffi.buffer(out, max(n, 0))) == expected


def test_misuse_of_the_encoder_is_answered_by_the_documented_status(harness):
    assert harness.lib.harness_encoder_misuse() == 0


@pytest.mark.parametrize(("positions", "channels"), [(0, 4), (4, 0)])
def test_shapes_outside_the_contract_are_refused(harness, positions, channels):
    out = harness.ffi.new("uint8_t[]", 16)
    assert harness.lib.harness_pack(positions, channels, 3, bytes(2000), 0, out, 16) == -1
