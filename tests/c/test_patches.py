"""Levels of patches, their codes and the payload's head in C against the golden device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from patch_cases import counts_of, head_of, pointer, told_rates
from programs import coder
from semflash.program.head import encode_head
from semflash.program.layout import Exactly, Head, Layout, Region
from semflash.program.map_sizes import RANK_BITS, MapSizes
from semflash.program.patch_stages import Coder, Select
from semflash.program.program import Program
from semflash.program.quality import Ber
from semflash.program.reference import patches, select
from semflash.program.tensors import Codes, Tensor
from semflash_codegen.patch_text import ordered_weights

#: Patches of scenes-multires: bits of a level, and what they are worth.
BITS, GAINS = (0, 8, 32, 96), (65_535, 11_215, 2_073)
SCENES = MapSizes(places=64, also=12, protectable=True, fixed=0, levels=BITS)


def device_levels(
    harness: Any,
    sizes: MapSizes,
    gains: tuple[int, ...],
    weights: np.ndarray,
    rates: np.ndarray,
    protect: np.ndarray,
) -> np.ndarray:
    """Levels (n, places) through harness_select."""
    head, bits = head_of(harness, sizes)
    levels = np.full((len(weights) + 1, sizes.places), 77, np.uint8)
    worth = np.array(gains, np.uint16)
    arrays = (
        ("const uint16_t", worth),
        ("const uint32_t", weights.astype(np.uint32)),
        ("const uint32_t", (8 * rates).astype(np.uint32)),
        ("const uint8_t", protect.astype(np.uint8)),
    )
    pointers = [pointer(harness, kind, array) for kind, array in arrays]
    harness.lib.harness_select(head, *pointers, len(weights), pointer(harness, "uint8_t", levels))
    assert (levels[-1] == 77).all() and bits[0] == 0
    return levels[:-1]


def random_weights(rng: np.random.Generator, images: int, places: int) -> np.ndarray:
    """Of six kinds: even, all equal, one peak, none, two values, powers of two up to the largest there is."""
    shape = images, places
    kinds = [
        rng.integers(0, 4096, shape),
        np.full(shape, 64),
        np.where(np.arange(places) == rng.integers(0, places, (images, 1)), 4096, 0),
        np.zeros(shape, np.int64),
        np.where(rng.integers(0, 8, shape) > 0, 3, 400),
        np.minimum(1 << rng.integers(0, 27, shape), 4096 * 16_257),
    ]
    kind = rng.integers(0, len(kinds), images)
    return np.stack(kinds)[kind, np.arange(images)].astype(np.int64)


def check_properties(
    sizes: MapSizes, weights: np.ndarray, rates: np.ndarray, protect: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Never over the rate, levels rise with the weights, and no upgrade is left that fits. Total bits."""
    counts = counts_of(levels, len(sizes.levels))
    total = sizes.total(counts, protect)
    assert (total <= 8 * rates).all()
    order = np.argsort(-weights, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(levels, order, axis=1).astype(int), axis=1) <= 0).all()
    before = np.concatenate([np.full((len(counts), 1), sizes.places), counts[:, :-1]], axis=1)
    for level, step in enumerate(np.eye(counts.shape[1], dtype=np.int64)):
        can = counts[:, level] < before[:, level]
        more = sizes.total((counts + step)[can], protect[can])
        assert (more > 8 * rates[can]).all()
    return total


@pytest.mark.parametrize(
    ("sizes", "gains"),
    [
        (SCENES, GAINS),
        (MapSizes(64, 0, False, 40, (0, 16)), (7,)),
        (MapSizes(1, 4, False, 0, (0, 8, 16)), (9, 9)),
        (MapSizes(63, 12, True, 8, (0, 4, 12, 24, 42, 68, 104, 150)), (700, 600, 600, 400, 90, 7, 1)),
    ],
    ids=["scenes", "two levels", "one place", "eight levels"],
)
def test_the_device_selects_what_the_golden_device_selects(harness, sizes, gains):
    rng = np.random.default_rng(sizes.places)
    weights = random_weights(rng, 2500, sizes.places)
    protect = rng.integers(0, 2, len(weights)) > 0 if sizes.protectable else np.zeros(len(weights), bool)
    rates = told_rates(rng, sizes, protect, len(weights))
    found = device_levels(harness, sizes, gains, weights, rates, protect)
    assert (found == select.select(weights, gains, sizes, rates, protect)).all()
    check_properties(sizes, weights, rates, protect, found)


def test_corner_cases_are_selected_as_they_must(harness):
    """The least rate leaves all at level 0, a rate that fits everything raises all to the highest level."""
    weights = random_weights(np.random.default_rng(0), 600, 64)
    off = np.zeros(len(weights), bool)
    least = np.full(len(weights), -(-SCENES.least(False) // 8))
    assert not device_levels(harness, SCENES, GAINS, weights, least, off).any()
    most = -(-int(SCENES.total(np.full(3, 64), False)) // 8)
    whole = np.full(len(weights), most)
    assert (device_levels(harness, SCENES, GAINS, weights, whole, off) == 3).all()
    for short in (whole - 1, least + 1):
        found = device_levels(harness, SCENES, GAINS, weights, short, off)
        assert (found < 3).any() and (found == select.select(weights, GAINS, SCENES, short)).all()
    equal = device_levels(harness, SCENES, GAINS, np.full((1, 64), 5), np.array([60]), off[:1])
    assert (np.diff(equal[0].astype(int)) <= 0).all() and equal.sum() > 0


@pytest.mark.slow
def test_a_million_selections_never_exceed_their_rate_and_leave_nothing_that_fits(harness):
    rng = np.random.default_rng(7)
    used = np.zeros(2)
    for _ in range(50):
        weights = random_weights(rng, 20_000, 64)
        protect = rng.integers(0, 2, len(weights)) > 0
        rates = told_rates(rng, SCENES, protect, len(weights))
        levels = device_levels(harness, SCENES, GAINS, weights, rates, protect)
        total = check_properties(SCENES, weights, rates, protect, levels)
        part = (rates >= 64) & (rates <= 700)
        used += (total[part] / (8 * rates[part])).sum(), part.sum()
    print(f"rates of 64 to 700 bytes are used to {used[0] / used[1]:.2%} on average")
    assert used[0] / used[1] > 0.99


@pytest.mark.parametrize(
    ("grid", "contrast"),
    [((8, 8, 8, 3), 1), ((8, 8, 8, 3), 0), ((4, 3, 2, 1), 1), ((2, 2, 16, 3), 1), ((3, 5, 3, 4), 0)],
)
def test_weights_and_background_are_those_of_the_golden_device(harness, grid, contrast):
    rng = np.random.default_rng([*grid, contrast])
    rows, columns, side, channels = grid
    images = rng.integers(-128, 128, (60, rows * side, columns * side, channels)).astype(np.int8)
    images[:6] = np.array([-128, 127, 0, -1, 1, 64]).reshape(6, 1, 1, 1)
    images[6:9] = np.where(rng.integers(0, 2, images[6:9].shape) > 0, 127, -128)
    scores = rng.integers(-128, 128, (60, rows, columns, 1)).astype(np.int8)
    table = [max(1, round(4096 * 0.96**d)) for d in range(256)]
    stage = Select("s", "i", "l", "b", side, table, (1,), bool(contrast), "r")
    weights = np.zeros((60, rows * columns), np.uint32)
    background = np.zeros((60, channels), np.uint8)
    given = harness.ffi.new("harness_grid_t *", list(grid))
    harness.lib.harness_weights(
        given,
        contrast,
        pointer(harness, "const uint16_t", np.array(table, np.uint16)),
        pointer(harness, "const int8_t", scores),
        pointer(harness, "const int8_t", images),
        60,
        pointer(harness, "uint32_t", weights),
        pointer(harness, "uint8_t", background),
    )
    assert (weights == select.weights(stage, scores, images)).all()
    assert (background == select.background(images)).all()


def test_sums_of_the_most_varied_patch_stay_within_their_words(harness):
    """16 x 16 pixels of black and white by halves have the largest variance there is."""
    images = np.full((1, 16, 16, 1), -128, np.int8)
    images[:, :, ::2] = 127
    table = [4096] * 256
    stage = Select("s", "i", "l", "b", 16, table, (1,), True, "r")
    assert select.weights(stage, np.zeros((1, 1, 1, 1), np.int8), images).tolist() == [[4096 * 16_257]]


def program_of(sizes: MapSizes) -> Program:
    """The parts of a program that its head needs."""
    codes = [
        Tensor(f"c{level}", (sizes.places, bits // 8), Codes(256)) for level, bits in enumerate(sizes.levels)
    ][1:]
    also = (Tensor("also", (sizes.also // 4,), Codes(16)),) if sizes.also else ()
    regions = tuple(Region(t.name, 8, Exactly("map", level)) for level, t in enumerate(codes, 1))
    head = Head("map", tuple(t.name for t in also), "protect" if sizes.protectable else None)
    tensors = (Tensor("map", (sizes.places,), Codes(len(sizes.levels))), *also, *codes)
    return Program("image", tensors, (), Layout(regions, head), Ber(0.0, 0.5))


@pytest.mark.parametrize("sizes", [SCENES, MapSizes(64, 0, True, 0, (0, 8)), MapSizes(5, 4, False, 0, BITS)])
def test_the_device_writes_the_heads_of_the_golden_device(harness, sizes):
    rng = np.random.default_rng(3)
    kinds = len(sizes.levels)
    maps = rng.integers(0, kinds, (1000, sizes.places)).astype(np.uint8)
    maps = np.minimum(maps, rng.integers(0, kinds, (1000, 1))).astype(np.uint8)
    for level in range(kinds):
        maps[level] = level
    also = rng.integers(0, 16, (1000, sizes.also // 4)).astype(np.uint8)
    head, _ = head_of(harness, sizes)
    out, bits = harness.ffi.new("uint8_t[]", 128), harness.ffi.new("uint32_t *")
    for protect in (False, True) if sizes.protectable else (False,):
        wanted, ends = encode_head(program_of(sizes), {"map": maps, "also": also}, protect)
        for i in range(len(maps)):
            told = pointer(harness, "const uint8_t", maps[i]), pointer(harness, "const uint8_t", also[i])
            size = harness.lib.harness_head(head, protect, *told, out, 128, bits)
            payload = np.packbits(wanted[i, : ends[i]]).tobytes()
            assert (size, bits[0]) == (len(payload), ends[i])
            assert bytes(harness.ffi.buffer(out, size)) == payload
            assert harness.lib.harness_head(head, protect, *told, out, size - 1, bits) == -4


def test_the_devices_table_of_ranks_is_right(harness):
    """By the sizes of heads: every count of every number of places."""
    for places in range(1, 65):
        sizes = MapSizes(places, 0, False, 0, (0, 8))
        head, _ = head_of(harness, sizes)
        out, bits = harness.ffi.new("uint8_t[]", 128), harness.ffi.new("uint32_t *")
        for count in range(places + 1):
            codes = (np.arange(places) < count).astype(np.uint8)
            map_, nothing = pointer(harness, "const uint8_t", codes), harness.ffi.NULL
            assert harness.lib.harness_head(head, 0, map_, nothing, out, 128, bits) > 0
            assert bits[0] == places.bit_length() + int(RANK_BITS[places, count]) + 16


@pytest.mark.parametrize("coefficients", [1, 3, 4, 5, 8, 23])
@pytest.mark.parametrize("grid", [(2, 3, 8, 3), (4, 3, 2, 1), (2, 2, 3, 3), (1, 1, 16, 3)])
def test_codes_of_patches_are_those_of_the_golden_device(harness, grid, coefficients):
    rng = np.random.default_rng([*grid, coefficients])
    rows, columns, side, channels = grid
    values = side * side * channels
    bits = [int(b) for b in rng.integers(1, 7, coefficients)]
    bits += [1] * (-sum(bits) % 8)
    tables = coder(tuple(bits), values, seed=coefficients)
    if coefficients == 5:
        tables = Coder(tables.bits, [-128] * len(tables.weights), tables.thresholds)
    image = rng.integers(-128, 128, (1, rows * side, columns * side, channels)).astype(np.int8)
    if coefficients == 8:
        image[:] = -128
    wanted = patches.encode(tables, patches.cut(image, side)[0])
    found = np.full((rows * columns + 1, wanted.shape[1]), 77, np.uint8)
    pairs = np.zeros(-(-values // 4) * 2 + 1, np.uint32)
    pairs[-1] = 0xDEADBEEF
    arrays = (
        ("const uint8_t", np.array(bits, np.uint8)),
        ("const int8_t", np.array(ordered_weights(tables), np.int8)),
        ("const int32_t", np.array(tables.thresholds, np.int32)),
        ("const int8_t", image),
        ("uint32_t", pairs),
        ("uint8_t", found),
    )
    pointers = [pointer(harness, kind, array) for kind, array in arrays]
    given = harness.ffi.new("harness_grid_t *", list(grid))
    harness.lib.harness_patch_codes(given, len(bits), wanted.shape[1], *pointers)
    assert (found[:-1] == wanted).all() and (found[-1] == 77).all() and pairs[-1] == 0xDEADBEEF
