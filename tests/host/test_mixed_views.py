"""Views that are mixtures: which, with what, and the pixels, against NumPy's own generator."""

from __future__ import annotations

import numpy as np
import pytest

from semflash.data.views import VIEWS_MAX, ViewSettings, mixed_view, mixture, view

HOW = ViewSettings(2, True, 0.1, 0.4)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 12, 10, 3), np.uint8)
NUMBERS, ONES = np.arange(60), np.ones(60, np.int64)


def words_of(seed: int, image: int, number: int) -> list[int]:
    counter = (image + (number << 64) - 1) % (1 << 256)  # numpy counts up first
    return [int(word) for word in np.random.Philox(key=seed, counter=counter).random_raw(4)]


def test_what_is_mixed_in_comes_from_four_more_words_of_the_view() -> None:
    found = mixture(NUMBERS, ONES, 7, 60, HOW)
    for image in range(60):
        words = words_of(7, image, 1 + VIEWS_MAX)
        mixed = (words[0] & 0xFFFFFFFF) < round(0.4 * 2**32)
        partner = (words[0] >> 32) * 60 >> 32 if mixed else image
        weight = 256 if partner == image else 1 + ((words[1] & 0xFFFFFFFF) * 255 >> 32)
        assert (found.partners[image], found.weights[image]) == (partner, weight)


def test_the_share_of_mixtures_is_kept_and_view_0_is_none() -> None:
    many = np.arange(20_000)
    found = mixture(many, np.full(20_000, 3), 0, 20_000, HOW)
    mixed = found.weights < 256
    assert mixed.mean() == pytest.approx(0.4, abs=0.015)
    assert found.partners[mixed].mean() == pytest.approx(10_000, rel=0.03)
    assert found.shares[mixed].mean() == pytest.approx(0.5, abs=0.02) and (found.shares[~mixed] == 1).all()
    assert (mixture(many, np.zeros(20_000, np.int64), 0, 20_000, HOW).partners == many).all()
    assert (mixture(many, np.full(20_000, 3), 0, 20_000, ViewSettings()).partners == many).all()


def test_a_mixture_is_the_weighed_mean_of_two_views() -> None:
    found = mixture(NUMBERS, ONES, 7, 60, HOW)
    others = IMAGES[found.partners]
    made = mixed_view(IMAGES, others, NUMBERS, ONES, 7, found, HOW)
    own, other = view(IMAGES, NUMBERS, ONES, 7, HOW), view(others, found.partners, ONES, 7, HOW)
    share = found.weights.astype(np.float64)[:, None, None, None] / 256
    assert np.abs(made - (share * own + (1 - share) * other)).max() <= 0.5
    plain = found.weights == 256
    assert (made[plain] == own[plain]).all() and (made[~plain] != own[~plain]).any() and plain.any()


def test_settings_without_mixtures_decide_what_they_did_before_there_were_any() -> None:
    assert ViewSettings().plain() == {"shift_px": 4, "mirror": True, "gain": 0.15}
    assert HOW.plain() == {"shift_px": 2, "mirror": True, "gain": 0.1, "mix": 0.4}
