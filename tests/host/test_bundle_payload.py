"""Packing, bit errors and preprocessing against implementations that share nothing with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash.bundle import read_bundle
from semflash.bundle.packing import pack, payload_size, unpack
from semflash.channels.bits import flip_bits
from semflash.edge.preprocess import to_int8
from semflash.errors import BundleError, DatasetError, UsageError

SHAPE = read_bundle(Path(__file__).parents[1] / "vectors" / "tiny.semcodec").image_shape


def pack_as_text(codes: list[int], bits: int) -> bytes:
    """Packing by strings of 0 and 1."""
    text = "".join(format(code, f"0{bits}b") for code in codes)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 8).flatmap(lambda b: st.tuples(st.just(b), st.lists(st.integers(0, 2**b - 1), min_size=1)))
)
def test_packing_equals_a_bit_string(case: tuple[int, list[int]]) -> None:
    bits, values = case
    codes = np.array([values, values[::-1]], np.uint8)
    payloads = pack(codes, bits)
    assert [bytes(p) for p in payloads] == [pack_as_text(values, bits), pack_as_text(values[::-1], bits)]
    assert payloads.shape[1] == payload_size(len(values), bits)
    np.testing.assert_array_equal(unpack(payloads, bits, len(values)), codes)


def test_a_code_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BundleError, match="fit 3 bits"):
        pack(np.array([[8]], np.uint8), 3)
    with pytest.raises(BundleError, match="1 to 8"):
        pack(np.array([[0]], np.uint8), 9)
    with pytest.raises(BundleError, match=r"\(N, 2\) bytes"):
        unpack(np.zeros((1, 3), np.uint8), 3, 4)
    with pytest.raises(BundleError, match="uint8"):
        pack(np.array([[300]]), 8)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="uint8"):
        unpack(np.full((1, 3), 300), 3, 8)  # type: ignore[arg-type]


def test_no_bit_flips_at_ber_zero_and_half_of_them_at_one_half() -> None:
    payloads = np.random.default_rng(0).integers(0, 256, (200, 48), np.uint8)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(flip_bits(payloads, 0.0, rng), payloads)
    share = np.unpackbits(flip_bits(payloads, 0.5, rng) ^ payloads).mean()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(payloads.size * 8)


def test_flips_are_as_frequent_as_asked_per_payload() -> None:
    payloads = np.zeros((3000, 48), np.uint8)
    ber = np.where(np.arange(3000) % 2, 0.05, 0.001)
    flips = np.unpackbits(flip_bits(payloads, ber, np.random.default_rng(2)), axis=1).mean(1)
    for rate in (0.05, 0.001):
        deviation = np.sqrt(rate * (1 - rate) / (1500 * 384))
        assert abs(flips[ber == rate].mean() - rate) < 5 * deviation


def test_the_same_seed_flips_the_same_bits_one_by_one() -> None:
    payloads = np.random.default_rng(0).integers(0, 256, (1500, 24), np.uint8)
    together = flip_bits(payloads, 0.02, np.random.default_rng(9))
    rng = np.random.default_rng(9)
    single = np.concatenate([flip_bits(p[None], 0.02, rng) for p in payloads])
    np.testing.assert_array_equal(together, single)


@pytest.mark.parametrize("ber", [-0.1, 0.51, float("nan")])
def test_an_impossible_bit_error_rate_is_refused(ber: float) -> None:
    with pytest.raises(UsageError, match="between 0 and"):
        flip_bits(np.zeros((1, 4), np.uint8), ber, np.random.default_rng(0))


def test_pixels_become_pixel_minus_128() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(28 * 28).reshape(256, 28, 28, 1)
    expected = images.astype(np.int16) - 128
    np.testing.assert_array_equal(to_int8(images, SHAPE), expected)
    np.testing.assert_array_equal(to_int8(images.astype(np.float32) / 255, SHAPE), expected)
    assert to_int8(images, SHAPE).dtype == np.int8


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((1, 32, 32, 1), np.uint8), r"\(N, 28, 28, 1\)"),
        (np.zeros((1, 28, 28, 3), np.uint8), r"\(N, 28, 28, 1\)"),
        (np.zeros((28, 28, 1), np.uint8), r"\(N, 28, 28, 1\)"),
        (np.zeros((1, 28, 28, 1), np.int8), "uint8"),
        (np.full((1, 28, 28, 1), np.nan, np.float32), "NaN"),
        (np.full((1, 28, 28, 1), np.inf, np.float32), "infinite"),
        (np.full((1, 28, 28, 1), 200.0, np.float32), r"\[0, 1\]"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: np.ndarray, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        to_int8(images, SHAPE)
