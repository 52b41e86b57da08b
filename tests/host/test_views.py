"""Views of training images: the same pixels on every machine, from image and view number alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semflash.data.views import ViewSettings, philox, view
from semflash.errors import UsageError
from vectors.make_views import image_of, vectors

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "views.json").read_text(encoding="utf-8"))
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 12, 3), np.uint8)
NUMBERS = np.arange(40)


def test_the_vectors_are_those_that_their_script_writes() -> None:
    assert VECTORS["views"] == vectors()


@pytest.mark.parametrize("case", VECTORS["views"], ids=lambda case: f"{case['image']}-{case['view']}")
def test_a_view_has_the_pixels_of_the_vectors(case: dict[str, int]) -> None:
    image = np.array(image_of(case["channels"]), np.uint8)[None]
    how = ViewSettings(case["shift_px"], bool(case["mirror"]), case["gain"])
    made = view(image, np.array([case["image"]]), np.array([case["view"]]), case["seed"], how)
    assert made[0].tolist() == case["pixels"]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**16 - 1))
def test_the_words_are_numpys_philox(seed: int, first: int, second: int) -> None:
    counter = (first + (second << 64) - 1) % (1 << 256)  # numpy counts up first
    expected = np.random.Philox(key=seed, counter=counter).random_raw(4)
    assert philox(seed, np.array([first]), np.array([second]))[0].tolist() == expected.tolist()


def test_view_0_is_the_image_itself_and_a_new_array() -> None:
    made = view(IMAGES, NUMBERS, np.zeros(40, np.int64), 5)
    assert (made == IMAGES).all() and made is not IMAGES and not np.shares_memory(made, IMAGES)


def test_a_view_does_not_depend_on_what_is_asked_beside_it() -> None:
    views = NUMBERS % 5
    whole = view(IMAGES, NUMBERS, views, 5)
    order = np.random.default_rng(1).permutation(40)
    assert (view(IMAGES[order], NUMBERS[order], views[order], 5) == whole[order]).all()
    single = [view(IMAGES[i : i + 1], NUMBERS[i : i + 1], views[i : i + 1], 5)[0] for i in range(40)]
    assert (np.stack(single) == whole).all()


def test_views_of_one_image_and_of_two_seeds_differ() -> None:
    same = np.repeat(IMAGES[:1], 40, axis=0)
    made = view(same, np.zeros(40, np.int64), NUMBERS, 5)
    assert len({one.tobytes() for one in made}) == 40
    assert (
        view(IMAGES, NUMBERS, np.ones(40, np.int64), 6) != view(IMAGES, NUMBERS, np.ones(40, np.int64), 5)
    ).any()


def test_shifts_mirrors_and_gains_fill_their_range_evenly() -> None:
    """One white pixel in the middle tells where it went and how bright it is."""
    images = np.zeros((9_000, 9, 9, 3), np.uint8)
    images[:, 4, 4] = 200
    made = view(images, np.arange(9_000), np.ones(9_000, np.int64), 0, ViewSettings(4, False, 0.15))
    _, rows, columns = np.nonzero(made[..., 0])
    counts = np.histogram2d(rows, columns, 9)[0]
    assert counts.sum() == 9_000 and counts.min() > 60 and counts.max() < 170  # 111 expected, deviation 10.5
    values = made.reshape(9_000, -1, 3).max(axis=1)
    assert values.min() == 170 and values.max() == 230
    assert abs(values.mean() - 200) < 0.5
    assert abs(np.corrcoef(values.T) - np.eye(3)).max() < 0.05
    left = np.zeros((4_000, 9, 9, 1), np.uint8)
    left[:, 4, 0] = 255
    mirrored = view(left, np.arange(4_000), np.ones(4_000, np.int64), 0, ViewSettings(0, True, 0.0))
    assert abs((mirrored[:, 4, 8, 0] == 255).mean() - 0.5) < 0.03


def test_mirroring_alone_twice_gives_the_image() -> None:
    how = ViewSettings(0, True, 0.0)
    once = view(IMAGES, NUMBERS, np.ones(40, np.int64), 5, how)
    assert (view(once, NUMBERS, np.ones(40, np.int64), 5, how) == IMAGES).all()
    assert (once == IMAGES).all(axis=(1, 2, 3)).any() and (once != IMAGES).any()


@pytest.mark.parametrize(
    ("indices", "views"),
    [
        (np.arange(39), np.zeros(40, np.int64)),
        (NUMBERS, np.zeros((40, 1), np.int64)),
        (NUMBERS - 1, np.zeros(40, np.int64)),
        (NUMBERS, np.full(40, 1 << 16)),
    ],
)
def test_numbers_that_do_not_go_with_the_images_are_refused(indices: np.ndarray, views: np.ndarray) -> None:
    with pytest.raises(UsageError):
        view(IMAGES, indices, views, 0)


def test_no_images_have_no_views() -> None:
    none = np.zeros(0, np.int64)
    assert view(IMAGES[:0], none, none, 0).shape == (0, 16, 12, 3)
