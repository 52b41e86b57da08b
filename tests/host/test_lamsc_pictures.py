"""The experiments with pictures of ``lamsc``: arms, formats, the element-wise mask, tables."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

pytest.importorskip("keras", reason="training's packages are not installed")

from experiments.lamsc import formats, names
from experiments.lamsc.blocks import errors, pictures, sweep
from experiments.lamsc.coded import Coded
from experiments.lamsc.elements import bits_of, elements_that_fit
from experiments.lamsc.plan import studies
from experiments.lamsc.results import Result, Row

from semflash.codecs.lamsc.codec import Lamsc
from semflash.codecs.lamsc.fitting import fit
from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.codecs.patch_codes import less_background
from semflash.data.dataset import Split

SIZES = LamscSizes.from_dict(
    {"classes": 3, "classifier_widths": [4, 4], "restoring_widths": [4, 4, 4], "coefficients": 30}
)


@pytest.fixture(scope="module")
def coded() -> Coded:
    """Scenes with a bright, detailed square that matters."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (24, 16, 16, 3)).repeat(4, axis=1).repeat(4, axis=2)
    images = np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)
    masks = np.zeros((24, 64, 64), np.uint8)
    for i in range(24):
        y, x = rng.integers(0, 40, 2)
        images[i, y : y + 20, x : x + 20] = 120 + rng.integers(0, 130, (10, 10, 3)).repeat(2, 0).repeat(2, 1)
        masks[i, y : y + 20, x : x + 20] = 1
    split = Split(images, np.zeros(24, np.int32), masks=masks)
    codec = Lamsc(SIZES)
    found = Coded(codec, split, "test", tuned=False)
    weights = (found.exact.reshape(24, -1) + 0.02) / 1.02
    codec.tables.begin(fit(less_background(images / 255, 8), weights, 30, SIZES.map_sizes))
    return found


def test_exact_importance_is_better_inside_the_object_and_worse_around_it(coded: Coded) -> None:
    found = {}
    for arm in (names.EXACT_BLOCKS, names.OFF):
        levels = coded.levels(arm, 159)
        row = coded.row(arm, 159, coded.pictures(levels), coded.bytes(levels))
        assert row.sent <= 159 and row.accuracy is None
        found[arm] = row
    assert found[names.EXACT_BLOCKS].object_psnr > found[names.OFF].object_psnr + 1
    assert found[names.EXACT_BLOCKS].psnr < found[names.OFF].psnr


def test_psnr_is_that_of_the_pixels_of_the_object(coded: Coded) -> None:
    wrong = coded.images.astype(np.int64)
    wrong[coded.inside] = np.where(
        wrong[coded.inside] > 127, wrong[coded.inside] - 10, wrong[coded.inside] + 10
    )
    whole, inside = coded.psnr(wrong.astype(np.uint8))
    assert inside == pytest.approx(20 * np.log10(25.5), abs=1e-6)
    assert whole == pytest.approx(inside + 10 * np.log10(4096 / 400), abs=1e-6)


def test_an_untrained_network_changes_nothing(coded: Coded) -> None:
    levels = coded.levels(names.CODEC, 100)
    assert np.array_equal(coded.pictures(levels), coded.pictures(levels, linear=True))


def test_one_level_needs_no_map(coded: Coded) -> None:
    row = coded.one_level(159)
    # 16 bits for each of 64 blocks, 28 bits besides; 24 bits would be 195.5 bytes.
    assert row.sent == (28 + 64 * 16) / 8


def test_formats_fit_and_what_does_not_fit_is_its_mean_colour(coded: Coded) -> None:
    for kind in ("jpeg", "webp"):
        found, size = formats.pictures_of(kind, coded.images[:6], 293)
        assert found.shape == (6, 64, 64, 3) and size <= 293
        assert np.square(found.astype(float) - coded.images[:6]).mean() < coded.images[:6].var()
        none, size = formats.pictures_of(kind, coded.images[:2], 4)
        assert size == 4 and (none == coded.images[:2].mean((1, 2), keepdims=True).round()).all()


def test_the_best_threshold_is_taken(coded: Coded) -> None:
    seen: list[float] = []

    def judge(pictures: np.ndarray) -> float:
        seen.append(coded.psnr(pictures)[1])
        return seen[-1]

    sent, size, least = formats.best_flattened(coded.images, coded.exact, 159, (0.0, 0.5, 0.9), judge)
    assert size <= 159 and (0.0, 0.5, 0.9)[int(np.argmax(seen))] == least
    assert coded.psnr(sent)[1] == max(seen)


def test_an_element_wise_mask_counts_its_positions() -> None:
    assert bits_of(2560, 100) == (comb(2560, 100) - 1).bit_length() + 400 + 40
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(5, 64, 40))
    sent, size = elements_that_fit(coefficients, np.ones((5, 64)), np.ones(40), 159)
    kept = (sent != 0).sum(axis=(1, 2))
    assert (kept == kept[0]).all() and size == bits_of(2560, int(kept[0])) / 8 <= 159
    assert bits_of(2560, int(kept[0]) + 1) > 8 * 159
    least = np.abs(coefficients[0])[sent[0] != 0].min()
    assert least >= np.abs(coefficients[0])[sent[0] == 0].max()


def test_jobs_name_what_they_need() -> None:
    found = {one.name: one for one in studies()}
    assert {"focus-codec-s0", "focus-codec-s1", "focus-codec-s2", "focus-learned-mask-s0"} <= set(found)
    for one in found.values():
        assert set(one.needs) <= set(found)
    assert found["focus-learned-mask-s0"].settings["recipe"]["sizes"]["mask"] == "learned"
    assert found["focus-errors-s0"].of == "focus-codec-s0"


def test_tables_show_what_is_measured_and_say_what_is_not() -> None:
    assert pictures([]) == errors([]) == sweep([]) == "Not measured yet."
    rows = [
        Row("test", names.CODEC, 10, rate=159, sent=158.9, psnr=21.0, object_psnr=22.5, accuracy=0.61),
        Row("test", names.FLAT_JPEG + ", p > 0.1", 10, rate=159, psnr=18.0, object_psnr=20.0),
        Row("test", "jpeg", 10, rate=159, psnr=22.0, object_psnr=19.0),
    ]
    common = {"seed": 0, "settings": {}, "digest": "0" * 16, "group": "focus", "seconds": {"job": 60.0}}
    one = Result(job="focus-codec-s0", variant="codec", rows=rows, **common)
    text = pictures([one])
    assert "21.00 / 22.50 (61.0%)" in text and "| jpeg |  | 22.00 / 19.00 |  |" in text
    assert "| jpeg, background flattened by the student |  | 18.00 / 20.00 |" in text
    assert "| 159 | 158.9 | 21.00 / 22.50 | 61.0% |" in sweep([one])
    figures = {"0.01": {"lost": 0.02, "protected": 1.0, "misread": 0.0, "accuracy": 0.5}}
    damaged = [Row("test", names.CODEC, 10, rate=293, ber=0.01, psnr=20.0, object_psnr=21.0)]
    two = Result(job="focus-errors-s0", variant="errors", rows=damaged, figures=figures, **common)
    assert "| 1.00% | protected | 20.00 / 21.00 | 50.0% | 2.0% |" in errors([two])
