"""Levels by what they leave of each patch, in C against the golden device, and what always holds of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from patch_cases import counts_of, head_of, pointer, told_rates
from programs import coder, made_falls
from semflash.program.map_sizes import MapSizes
from semflash.program.reference import falls as reference
from semflash.program.reference import patches, select
from semflash_codegen.patch_text import channel_sums, ordered_weights

#: Blocks of focus-lamsc, and other maps.
FOCUS = MapSizes(64, 12, True, 0, (0, 8, 16, 24, 40, 64, 104, 152))
SIZES = (
    FOCUS,
    MapSizes(64, 12, True, 0, (0, 8, 32, 96)),
    MapSizes(63, 0, False, 8, (0, 4, 12, 24, 42, 68, 104, 150)),
    MapSizes(1, 4, False, 0, (0, 8, 16)),
    MapSizes(64, 0, False, 40, (0, 16)),
)


def random_worth(rng: np.random.Generator, images: int, sizes: MapSizes) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, places), slopes (n, places, levels - 1) that do not rise: far apart, large, few, none."""
    shape = images, sizes.places, len(sizes.levels) - 1
    slopes = np.stack(
        [
            np.sort(rng.integers(0, 1 << 20, shape), axis=2)[..., ::-1],
            np.sort(np.minimum(1 << rng.integers(0, 31, shape), (1 << 31) - 1), axis=2)[..., ::-1],
            np.sort(rng.integers(0, 3, shape), axis=2)[..., ::-1],
            np.zeros(shape, np.int64),
        ]
    )[rng.integers(0, 4, images), np.arange(images)]
    weights = np.where(
        rng.integers(0, 2, (images, 1)) > 0, rng.integers(1, 4097, shape[:2]), rng.integers(1, 3, shape[:2])
    )
    return weights, slopes


def device_levels(
    harness: Any,
    sizes: MapSizes,
    weights: np.ndarray,
    slopes: np.ndarray,
    rates: np.ndarray,
    protect: np.ndarray,
) -> np.ndarray:
    """Levels (n, places) through harness_by_slopes."""
    head, bits = head_of(harness, sizes)
    levels = np.full((len(weights) + 1, sizes.places), 77, np.uint8)
    arrays = (
        ("const uint32_t", weights.astype(np.uint32)),
        ("const uint32_t", np.ascontiguousarray(slopes.astype(np.uint32))),
        ("const uint32_t", (8 * rates).astype(np.uint32)),
        ("const uint8_t", protect.astype(np.uint8)),
    )
    pointers = [pointer(harness, kind, array) for kind, array in arrays]
    harness.lib.harness_by_slopes(head, *pointers, len(weights), pointer(harness, "uint8_t", levels))
    assert (levels[-1] == 77).all() and bits[0] == 0
    return levels[:-1]


def check_properties(
    sizes: MapSizes, worth: np.ndarray, rates: np.ndarray, protect: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Never over the rate, and no upgrade is left that fits. Total bits."""
    counts = counts_of(levels, len(sizes.levels))
    total = sizes.total(counts, protect)
    assert (total <= 8 * rates).all()
    before = np.concatenate([np.full((len(counts), 1), sizes.places), counts[:, :-1]], axis=1)
    for level, step in enumerate(np.eye(counts.shape[1], dtype=np.int64)):
        can = counts[:, level] < before[:, level]
        more = sizes.total((counts + step)[can], protect[can])
        assert (more > 8 * rates[can]).all()
    return total


def cases(
    rng: np.random.Generator, sizes: MapSizes, images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    weights, slopes = random_worth(rng, images, sizes)
    protect = rng.integers(0, 2, images) > 0 if sizes.protectable else np.zeros(images, bool)
    return weights, slopes, told_rates(rng, sizes, protect, images), protect


@pytest.mark.parametrize("sizes", SIZES, ids=[f"{s.places}x{len(s.levels)}" for s in SIZES])
def test_the_device_selects_what_the_golden_device_selects(harness, sizes):
    weights, slopes, rates, protect = cases(np.random.default_rng(sizes.places), sizes, 2000)
    found = device_levels(harness, sizes, weights, slopes, rates, protect)
    worth = slopes * weights[..., None]
    assert (found == select.select_by_worth(worth, sizes, rates, protect)).all()
    check_properties(sizes, worth, rates, protect, found)


def test_common_gains_are_the_same_way(harness):
    """Where all patches have the same slopes, it is the selection by weight and gain."""
    rng = np.random.default_rng(4)
    sizes, gains = MapSizes(64, 12, True, 0, (0, 8, 32, 96)), (65_535, 11_215, 2_073)
    weights = rng.integers(1, 4097, (500, 64))
    rates, off = rng.integers(40, 800, 500), np.zeros(500, bool)
    slopes = np.broadcast_to(np.array(gains), (500, 64, 3))
    found = device_levels(harness, sizes, weights, slopes, rates, off)
    assert (found == select.select(weights, gains, sizes, rates)).all()


def test_of_patches_alike_the_heavier_never_has_a_lower_level(harness):
    """Half of the patches are like the other half, with at least their weight."""
    rng = np.random.default_rng(9)
    weights, slopes, rates, protect = cases(rng, FOCUS, 3000)
    slopes[:, 32:] = slopes[:, :32]
    weights[:, 32:] = np.minimum(weights[:, :32] + rng.integers(1, 500, (3000, 32)), 4096)
    heavier = weights[:, 32:] > weights[:, :32]
    found = device_levels(harness, FOCUS, weights, slopes, rates, protect).astype(int)
    # Upgrades that are worth nothing are made in raster order, whatever a patch weighs.
    reached = np.minimum(found[:, :32], (slopes[:, :32] > 0).sum(axis=2))
    assert (found[:, 32:] >= reached)[heavier].all() and heavier.mean() > 0.9


def test_more_bytes_never_raise_what_is_left(harness):
    """The worth that is taken never falls with the rate, along the way of the worthiest upgrades."""
    rng = np.random.default_rng(2)
    weights, slopes = random_worth(rng, 40, FOCUS)
    off = np.zeros(40, bool)
    steps = np.diff(FOCUS.levels)
    gained = []
    for rate in range(24, 700, 13):
        levels = device_levels(harness, FOCUS, weights, slopes, np.full(40, rate), off)
        taken = (np.arange(7) < levels[..., None]) * steps
        gained.append((slopes * weights[..., None] * taken).sum(axis=(1, 2)).astype(float))
    falls = np.diff(np.array(gained), axis=0) / np.maximum(np.array(gained)[:-1], 1)
    # The map may cost a few bits more than the bytes that were added; then less fits, for the moment.
    assert falls.min() > -0.05 and (falls >= 0).mean() > 0.97


@pytest.mark.slow
def test_a_million_selections_never_exceed_their_rate_and_leave_nothing_that_fits(harness):
    rng = np.random.default_rng(11)
    used = np.zeros(2)
    for _ in range(100):
        weights, slopes, rates, protect = cases(rng, FOCUS, 10_000)
        levels = device_levels(harness, FOCUS, weights, slopes, rates, protect)
        total = check_properties(FOCUS, slopes * weights[..., None], rates, protect, levels)
        part = (rates >= 64) & (rates <= 700)
        used += (total[part] / (8 * rates[part])).sum(), part.sum()
    print(f"rates of 64 to 700 bytes are used to {used[0] / used[1]:.2%} on average")
    assert used[0] / used[1] > 0.99


def pooled(falls: list[int], bits: tuple[int, ...]) -> Iterator[int]:
    """Slopes of the least concave line by pooling, in fractions."""
    runs: list[list[int]] = []
    for (a, b), (c, d) in zip(pairwise([0, *falls]), pairwise(bits), strict=True):
        runs.append([b - a, d - c, 1])
        while len(runs) > 1 and Fraction(*runs[-1][:2]) > Fraction(*runs[-2][:2]):
            last = runs.pop()
            runs[-1] = [x + y for x, y in zip(runs[-1], last, strict=True)]
    for rise, width, count in runs:
        yield from [max(0, rise // width)] * count


def test_slopes_are_those_of_the_least_concave_line():
    rng = np.random.default_rng(3)
    falls = rng.integers(-500, 30_000, (400, 7))
    falls[:200] = np.cumsum(rng.integers(-20, 4_000, (200, 7)), axis=1)
    falls[200] = 0
    found = reference.slopes(falls, FOCUS.levels)
    assert found.tolist() == [list(pooled(each.tolist(), FOCUS.levels)) for each in falls]
    assert (np.diff(found, axis=1) <= 0).all()


BITS = ((4, 4), (6, 1, 3, 6), (6, 5, 4, 3, 6, 2, 6))
PICKS = ((0, 2), (6, 1, 4, 3), (0, 1, 2, 3, 4, 5, 6))


def stacked(values: list[list[int]], kind: type[np.number]) -> np.ndarray:
    return np.array([value for each in values for value in each], kind)


@pytest.mark.parametrize("grid", [(2, 3, 8, 3), (4, 3, 2, 1), (2, 2, 3, 3), (1, 1, 16, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_slopes_of_patches_are_those_of_the_golden_device(harness, grid, seed):
    rng = np.random.default_rng([*grid, seed])
    rows, columns, side, channels = grid
    falls, coders = made_falls(side * side * channels, BITS, PICKS, 10 * seed)
    level_bits = (0, 8, 16, 32)
    images = rng.integers(-128, 128, (1, rows * side, columns * side, channels)).astype(np.int8)
    if seed == 3:
        images[:] = np.where(rng.integers(0, 2, images.shape) > 0, 127, -128)
    background = rng.integers(0, 16, (1, channels)).astype(np.uint8)
    values = patches.less_background(images, side, background)[0]
    wanted = reference.slopes(reference.falls(falls, coders, values), level_bits)
    pairs = np.zeros(-(-side * side * channels // 4) * 2 + 1, np.uint32)
    pairs[-1] = 0xDEADBEEF
    found = np.full((rows * columns + 1, 3), 77, np.uint32)
    arrays = (
        ("const uint16_t", np.array(level_bits, np.uint16)),
        ("const uint16_t", np.array([len(each.bits) for each in coders], np.uint16)),
        ("const uint8_t", stacked([each.bits for each in coders], np.uint8)),
        ("const int8_t", stacked([ordered_weights(each) for each in coders], np.int8)),
        ("const int32_t", stacked([each.thresholds for each in coders], np.int32)),
        ("const int32_t", stacked([channel_sums(each, channels) for each in coders], np.int32)),
        ("const uint8_t", stacked([list(each) for each in falls.picks], np.uint8)),
        ("const int16_t", stacked([list(each) for each in falls.centres], np.int16)),
        ("const uint16_t", np.array(falls.scales, np.uint16)),
        ("const int8_t", images),
        ("const uint8_t", background),
        ("uint32_t", pairs),
        ("uint32_t", found),
    )
    given = harness.ffi.new("harness_grid_t *", list(grid))
    harness.lib.harness_slopes(given, 4, *(pointer(harness, kind, array) for kind, array in arrays))
    assert (found[:-1] == wanted).all() and (found[-1] == 77).all() and pairs[-1] == 0xDEADBEEF
    assert seed == 3 or (wanted > 0).any()


@pytest.mark.parametrize("grid", [(2, 3, 8, 3), (4, 3, 2, 1), (2, 2, 3, 3)])
def test_codes_less_the_background_are_those_of_the_golden_device(harness, grid):
    rng = np.random.default_rng(grid)
    rows, columns, side, channels = grid
    bits = (6, 1, 5, 4, 2, 6, 6, 2)
    tables = coder(bits, side * side * channels, seed=1)
    image = rng.integers(-128, 128, (1, rows * side, columns * side, channels)).astype(np.int8)
    background = rng.integers(0, 16, (1, channels)).astype(np.uint8)
    wanted = patches.encode(tables, patches.less_background(image, side, background)[0])
    assert not (wanted == patches.encode(tables, patches.cut(image, side)[0])).all()
    found = np.full((rows * columns + 1, 4), 77, np.uint8)
    pairs = np.zeros(-(-side * side * channels // 4) * 2, np.uint32)
    arrays = (
        ("const uint8_t", np.array(bits, np.uint8)),
        ("const int8_t", np.array(ordered_weights(tables), np.int8)),
        ("const int32_t", np.array(tables.thresholds, np.int32)),
        ("const int32_t", np.array(channel_sums(tables, channels), np.int32)),
        ("const int8_t", image),
        ("const uint8_t", background),
        ("uint32_t", pairs),
        ("uint8_t", found),
    )
    given = harness.ffi.new("harness_grid_t *", list(grid))
    pointers = [pointer(harness, kind, array) for kind, array in arrays]
    harness.lib.harness_centred_codes(given, len(bits), 4, *pointers)
    assert (found[:-1] == wanted).all() and (found[-1] == 77).all()
