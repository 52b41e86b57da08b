"""When a network has learnt nothing: the margin above guessing, by hand, and the warnings of a training."""

from __future__ import annotations

import io

import numpy as np
import pytest

from semflash.outputs.chance import Chance
from semflash.training.progress import Progress


@pytest.mark.parametrize(
    ("counts", "guess", "least"),
    [
        ([500] * 10, 0.1, 0.15),  # half of the guess
        ([1250] * 4, 0.25, 0.30),  # five points
        ([10] * 4, 0.25, 0.25 + 2 * (0.25 * 0.75 / 40) ** 0.5),  # two standard errors of 40 images
        ([900, 100], 0.9, 0.95),  # naming the frequent class alone is right 9 times of 10
        ([5] * 1000, 0.001, 0.001 + 2 * (0.001 * 0.999 / 5000) ** 0.5),
        ([1, 1], 0.5, 1.0),  # two images prove nothing but perfection
    ],
    ids=str,
)
def test_the_least_that_counts_as_learnt(counts: list[int], guess: float, least: float):
    labels = np.repeat(np.arange(len(counts)), counts)
    found = Chance.of(labels)
    assert found.guess == pytest.approx(guess) and found.least == pytest.approx(least)
    assert found.is_above(found.least) and not found.is_above(np.nextafter(found.least, 0))


def test_four_classes_at_0_231_are_guessing_and_the_zoo_is_not():
    assert not Chance.of(np.repeat(np.arange(4), 100)).is_above(0.231)
    assert Chance.of(np.repeat(np.arange(10), 500)).is_above(0.92)


def test_a_detector_must_find_something():
    boxes = np.zeros((20, 3, 6), np.float32)
    assert not Chance.of(boxes).is_above(0.0) and Chance.of(boxes).is_above(0.02)


def test_warnings_are_shown_even_where_progress_is_not():
    shown = io.StringIO()
    Progress(shown, quiet=True).say("quiet")
    Progress(shown, quiet=True).warn("look")
    assert shown.getvalue() == "warning: look\n"
