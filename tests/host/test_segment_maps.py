"""Maps of segment numbers, and segmenters without a network, on images that are easy to get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")

from semflash.errors import SegmentError, UsageError
from semflash.segments.base import Segmenter
from semflash.segments.classical import Exact, Felzenszwalb
from semflash.segments.maps import by_size, check_map, reduced
from semflash.segments.opening import SegmenterOptions, plan_of


def halves(side: int = 32) -> np.ndarray:
    """Dark left, bright right: a third and two thirds."""
    image = np.full((side, side, 3), 20, np.uint8)
    image[:, side // 3 :] = 220
    return image


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1), (1, 9, 3), (9, 1, 1), (2, 2, 3), (64, 64, 1)])
@pytest.mark.parametrize("segmenter", [Felzenszwalb(), Exact()])
def test_an_image_without_anything_in_it_is_one_segment(segmenter: Segmenter, shape: tuple[int, ...]) -> None:
    image = np.full(shape, 130, np.uint8)
    found = segmenter.segment(image, np.zeros(shape[:2], np.uint8))
    assert found.shape == shape[:2] and found.dtype == np.uint8 and not found.any()


def test_two_colours_are_two_segments_the_larger_first() -> None:
    for image in (halves(), halves()[..., :1]):
        found = Felzenszwalb().segment(image)
        assert (found[:, :10] == 1).all() and (found[:, 11:] == 0).all()


def test_a_border_of_one_colour_is_a_segment() -> None:
    image = np.full((32, 32, 3), 200, np.uint8)
    image[:4], image[-4:], image[:, :4], image[:, -4:] = 10, 10, 10, 10
    found = Felzenszwalb().segment(image)
    # The blurred edge between both colours may be segments of its own.
    assert found[0, 0] == found[31, 31] == found[0, 31] == found[16, 0] != found[16, 16]
    assert (found[6:26, 6:26] == found[16, 16]).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 3), np.float32),
    ],
)
@pytest.mark.parametrize("segmenter", [Felzenszwalb(), Exact()])
def test_what_is_no_image_of_8_bits_is_refused(segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(SegmentError, match="a segmenter takes images"):
        segmenter.segment(image, np.zeros(image.shape[:2], np.uint8))


def test_exact_gives_the_mask_back_and_refuses_what_is_none() -> None:
    image, mask = halves(8), np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(Exact().segment(image, mask), mask)
    for bad in (mask[:4], mask + 1, mask.astype(np.float32)):
        with pytest.raises(SegmentError):
            Exact().segment(image, bad)
    with pytest.raises(SegmentError, match="no exact masks"):
        Exact().segment(image)


def test_numbers_go_by_size_and_among_equals_by_the_older_number() -> None:
    found = by_size(np.array([[7, 7, 3], [9, 9, 9], [5, 5, 9]]))
    assert found.tolist() == [[2, 2, 3], [0, 0, 0], [1, 1, 0]]


def test_the_smallest_segment_joins_behind_the_weakest_edge() -> None:
    numbers = np.zeros((6, 6), np.int64)
    numbers[:, 3:], numbers[2:4, 2:4] = 1, 2
    cost = np.zeros((6, 6))
    cost[:, :3] = 1.0  # a strong edge to the left
    joined = reduced(numbers, cost, most=2)
    assert joined[2, 2] == joined[2, 5] != joined[0, 0]
    other = reduced(numbers, 1 - cost, most=2)
    assert other[2, 2] == other[0, 0] != other[2, 5]


def test_without_edges_it_joins_behind_the_longest_border() -> None:
    numbers = np.zeros((8, 8), np.int64)
    numbers[6:] = 1
    numbers[4:6, 3:5] = 2  # two pixels touch 1, six touch 0
    joined = reduced(numbers, most=2)
    assert joined[5, 3] == joined[0, 0] != joined[7, 0]


@pytest.mark.parametrize("most", [1, 2, 63])
def test_any_number_of_segments_becomes_few_enough(most: int) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 1_000, (20, 20))
    found = reduced(numbers, rng.random((20, 20)), most)
    assert found.dtype == np.uint8 and len(np.unique(found)) == most == found.max() + 1
    sizes = np.bincount(found.reshape(-1))
    assert (np.diff(sizes) <= 0).all()


def test_a_map_has_its_images_size_and_numbers_of_segments() -> None:
    image = halves(4)
    assert check_map(np.full((4, 4), 63), image).dtype == np.uint8
    for bad in (np.full((4, 4), 64), np.full((4, 4), -1), np.zeros((4, 5), np.uint8), np.zeros((4, 4))):
        with pytest.raises(SegmentError):
            check_map(bad, image)


def test_names_and_files_are_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="no such segmenter"):
        plan_of("mask-rcnn")
    with pytest.raises(UsageError, match="sam takes 2 ONNX files"):
        plan_of("sam")
    with pytest.raises(UsageError, match="exact takes 0 ONNX files"):
        plan_of("exact", SegmenterOptions((Path("a.onnx"),)))
