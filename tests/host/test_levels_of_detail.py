"""The selection of levels against its definition, and what it must hold for every rate."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import programs
from semflash.codecs import patch_codes
from semflash.codecs.patch_side import SelectStage
from semflash.errors import ProgramError
from semflash.program.map_sizes import MapSizes
from semflash.program.patch_stages import Coder
from semflash.program.payload import decode
from semflash.program.reference import patches, select
from semflash.program.reference.run import run

SMALL = MapSizes(places=5, also=4, protectable=True, fixed=0, levels=(0, 8, 24))


def bits_of(levels: tuple[int, ...], sizes: MapSizes, protect: bool) -> int:
    """Bits of a payload, counted one by one."""
    bits, inside = 5 if sizes.protectable else 0, list(levels)
    plain = (len(sizes.levels) - 1) * len(f"{sizes.places:b}") + sizes.also + 16
    for level in range(1, len(sizes.levels)):
        subsets = [
            s for s in product((0, 1), repeat=len(inside)) if sum(s) == sum(v >= level for v in inside)
        ]
        plain += len(f"{len(subsets) - 1:b}") if len(subsets) > 1 else 0
        inside = [v for v in inside if v >= level]
    bits += 24 * -(-plain // 12) if protect else plain
    return bits + sizes.fixed + sum(sizes.levels[level] for level in levels)


def test_sizes_of_payloads_are_those_that_are_counted_one_by_one() -> None:
    for levels in product(range(3), repeat=5):
        counts = np.array([sum(v >= 1 for v in levels), sum(v >= 2 for v in levels)])
        for protect in (False, True):
            assert SMALL.total(counts, protect) == bits_of(levels, SMALL, protect)
            assert SMALL.most >= bits_of(levels, SMALL, protect) >= SMALL.least(protect)


def by_definition(
    weights: list[int], gains: tuple[int, ...], sizes: MapSizes, rate: int, protect: bool
) -> tuple[int, ...]:
    """Levels, straight from the words of :class:`semflash.program.patch_stages.Select`."""
    levels = [0] * len(weights)
    order = sorted(range(len(weights)), key=lambda p: (-weights[p], p))
    upgrades = sorted(
        (
            (-weights[p] * gain, level, rank)
            for level, gain in enumerate(gains)
            for rank, p in enumerate(order)
        )
    )
    fits = [tuple(levels)]
    for _, level, rank in upgrades:
        levels[order[rank]] = level + 1
        if bits_of(tuple(levels), sizes, protect) <= 8 * rate:
            fits.append(tuple(levels))
    levels = list(fits[-1])
    while True:
        left = []
        for worth, level, rank in upgrades:
            p = order[rank]
            raised = [*levels[:p], level + 1, *levels[p + 1 :]]
            sound = levels[p] == level and (rank == 0 or levels[order[rank - 1]] > level)
            if sound and bits_of(tuple(raised), sizes, protect) <= 8 * rate:
                left.append((worth, level, raised))
        if not left:
            return tuple(levels)
        levels = min(left)[2]


@given(
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
    st.sampled_from([(10, 3), (5, 5), (100, 1)]),
    st.integers(0, 40),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_levels_are_those_of_the_definition(weights, gains, rate, protect) -> None:
    rate = max(rate, -(-SMALL.least(protect) // 8))
    found = select.select(np.array([weights]), gains, SMALL, rate, protect)
    assert tuple(found[0].tolist()) == by_definition(weights, gains, SMALL, rate, protect)


def test_a_state_on_the_way_has_the_least_sum_of_distortion_and_bits() -> None:
    """Where the rate is spent to the bit, no other levels of as many bits leave less weighted distortion."""
    distortion, sizes = (1900.0, 900.0, 300.0), MapSizes(5, 0, False, 0, (0, 8, 24))
    gains = patch_codes.gains(distortion, sizes.levels)
    rng = np.random.default_rng(4)
    spent = 0
    for _ in range(60):
        weights = rng.integers(1, 4096, 5)
        for rate in range(4, 20):
            (levels,) = select.select(weights[None], gains, sizes, rate)
            used = bits_of(tuple(levels.tolist()), sizes, False)
            cost = sum(int(w) * distortion[v] for w, v in zip(weights, levels, strict=True))
            body = sum(sizes.levels[v] for v in levels)
            others = [o for o in product(range(3), repeat=5) if sum(sizes.levels[v] for v in o) <= body]
            best = min(sum(int(w) * distortion[v] for w, v in zip(weights, o, strict=True)) for o in others)
            on_the_way = best >= cost * (1 - 1e-9)
            spent += on_the_way
            assert used <= 8 * rate
    assert spent > 0.6 * 60 * 16


def test_rates_and_protection_may_differ_from_image_to_image() -> None:
    rng = np.random.default_rng(5)
    sizes = MapSizes(64, 12, True, 0, (0, 8, 32, 96))
    weights, gains = rng.integers(0, 4096, (50, 64)), (60_000, 11_000, 2_000)
    rates, protect = rng.integers(16, 900, 50), rng.integers(0, 2, 50) > 0
    together = select.select(weights, gains, sizes, rates, protect)
    for i in range(50):
        alone = select.select(weights[i : i + 1], gains, sizes, int(rates[i]), bool(protect[i]))
        assert (alone[0] == together[i]).all()


def test_a_rate_below_the_smallest_payload_is_refused() -> None:
    least = -(-SMALL.least(False) // 8)
    weights = np.zeros((2, 5), np.int64)
    assert not select.select(weights, (5, 3), SMALL, least).any()
    with pytest.raises(ProgramError, match="below the smallest payload") as error:
        select.select(weights, (5, 3), SMALL, [least, least - 1])
    assert f"{least} bytes" in error.value.remedy


def test_contrast_is_the_variance_of_the_luminance() -> None:
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (4, 16, 24, 3)).astype(np.uint8)
    bright = np.floor((images.astype(np.float64) @ [77, 150, 29] + 128) / 256)
    blocks = bright.reshape(4, 2, 8, 3, 8).transpose(0, 1, 3, 2, 4).reshape(4, 6, 64)
    found = select.contrast((images ^ 128).view(np.int8), 8)
    assert (found == np.floor(blocks.var(axis=2) + 1e-9)).all()


def test_the_background_is_the_mean_in_sixteenths() -> None:
    images = np.zeros((3, 2, 2, 2), np.uint8)
    images[0] = [255, 15]
    images[1] = [[[16, 31], [16, 31]], [[16, 32], [16, 33]]]
    assert select.background((images ^ 128).view(np.int8)).tolist() == [[15, 0], [1, 1], [0, 0]]


def test_a_patch_is_encoded_by_counting_thresholds() -> None:
    """Two values; the first coefficient is their sum in two bits, the second their difference in six."""
    table = Coder(
        bits=[2, 6], weights=[1, 1, 1, -1], thresholds=[-10, 0, 10, *(4 * step - 124 for step in range(63))]
    )
    values = np.array(
        [[-100, -100], [-5, -5], [-5, 5], [3, 4], [127, 127], [127, -128], [-128, 127]], np.int8
    )
    found = patches.encode(table, values)[:, 0].tolist()
    # a sum of -10, 0 or 10 has reached its threshold, and so has a difference of 4 step - 124
    assert [f"{byte:08b}" for byte in found] == [
        "00" "100000",
        "01" "100000",
        "10" "011101",
        "10" "011111",
        "11" "100000",
        "01" "111111",
        "01" "000000",
    ]  # fmt: skip


def test_patches_lie_in_raster_order() -> None:
    image = np.arange(4 * 6 * 2).reshape(1, 4, 6, 2)
    assert patches.cut(image, 2).shape == (1, 6, 8)
    assert patches.cut(image, 2)[0, 4].tolist() == [28, 29, 30, 31, 40, 41, 42, 43]


@pytest.mark.parametrize("protect", [0, 1])
@pytest.mark.parametrize("rate", [13, 20, 27, 40])
def test_a_payload_gives_back_levels_background_and_codes(rate: int, protect: int) -> None:
    program = programs.detailed(protect=True)
    rng = np.random.default_rng(rate)
    images = rng.integers(-128, 128, (200, 8, 6, 1)).astype(np.int8)
    scores = rng.integers(-128, 128, (200, 4, 3, 1)).astype(np.int8)
    done = run(program, images, lambda name, inputs: [scores], {"rate": rate, "protect": protect})
    assert (done.sent.bits <= 8 * rate).all() and done.sent.bits.max() > 8 * rate - 16
    back = decode(program, done.sent.payloads, done.sent.bits)
    assert back.consistent.all() and back.present["levels"].all()
    for name in ("levels", "background"):
        assert (back.codes[name] == done.tensors[name]).all()
    flat = back.codes["levels"].reshape(200, 12)
    for level in (1, 2, 3):
        assert (back.present[f"codes-{level}"] == (flat == level)[..., None]).all()
        assert (back.codes[f"codes-{level}"] == done.tensors[f"codes-{level}"]).all()


def test_gains_that_rise_are_shared_by_neighbouring_levels() -> None:
    assert patch_codes.gains([9, 8, 7, 0], [0, 1, 2, 3]) == (65_535, 65_535, 65_535)
    assert patch_codes.gains([9, 3, 2.5, 0.5], [0, 1, 2, 3]) == (65_535, 13_653, 13_653)
    assert patch_codes.gains([1, 2, 3], [0, 8, 16]) == (1, 1)
    assert patch_codes.gains([1, 0.5, 0.5], [0, 8, 16]) == (65_535, 1)


def test_real_scores_give_the_weights_of_a_softmax() -> None:
    stage = SelectStage("s", "image", "l", "b", 8, (1.0, 0.5), "attention", "rate", sharpness=2.0)
    scores = np.log(np.array([[[1.0, 0.5], [0.25, 1e-9]]]))
    assert patch_codes.attention(stage, scores).tolist() == [[4096, 1024, 256, 1]]
