"""Maps of segment numbers: uint8 (H, W), numbers 0 to 63."""

from __future__ import annotations

import numpy as np

from semflash.errors import SegmentError

#: Numbers that a map may hold.
SEGMENTS_MAX = 64
#: Segments that a segmenter's own map is reduced to.
KEPT_MAX = 63


def check_image(image: np.ndarray) -> None:
    """SegmentError: it is no image of 8 bits with 1 or 3 channels, (H, W, C)."""
    if image.dtype != np.uint8:
        raise SegmentError(
            "a segmenter takes images of 8 bits",
            value=f"{image.dtype} {image.shape}",
            remedy="divide 16-bit values by 257",
        )
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise SegmentError("a segmenter takes images (height, width, 1 or 3)", value=image.shape)


def check_map(numbers: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The map as uint8.

    Raises:
        SegmentError: it is of another size than the image, or holds something that is no segment's number.
    """
    if numbers.shape != image.shape[:2]:
        raise SegmentError(
            "a map of segments has its image's size", value=f"{numbers.shape}, and {image.shape[:2]}"
        )
    if numbers.dtype.kind not in "iu" or not 0 <= int(numbers.min()) <= int(numbers.max()) < SEGMENTS_MAX:
        raise SegmentError(
            f"segments have numbers 0 to {SEGMENTS_MAX - 1}",
            value=f"{numbers.dtype} {numbers.min()}..{numbers.max()}",
        )
    return numbers.astype(np.uint8)


def by_size(numbers: np.ndarray) -> np.ndarray:
    """The same segments numbered from 0, the largest first; of equal ones, that whose number was smaller."""
    _, inverse, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.asarray(rank[inverse.reshape(numbers.shape)])


def reduced(numbers: np.ndarray, cost: np.ndarray | None = None, most: int = KEPT_MAX) -> np.ndarray:
    """At most so many segments, numbered by size: uint8 (H, W).

    The smallest segment joins the neighbour behind the weakest border, until there are few enough.

    Args:
        numbers: segments, any whole numbers, (H, W).
        cost: strength of an edge at each pixel, float (H, W); None: the longest border is the weakest.
    """
    numbers = by_size(numbers)
    while (count := int(numbers.max()) + 1) > most:
        strength, length = _borders(numbers, count - 1, count, cost)
        mean = np.where(length > 0, strength / np.maximum(length, 1), np.inf)
        best = np.flatnonzero(mean == mean.min())
        into = int(best[np.argmax(length[best])])
        numbers = by_size(np.where(numbers == count - 1, into, numbers))
    return numbers.astype(np.uint8)


def _borders(
    numbers: np.ndarray, one: int, count: int, cost: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Strength (sum) and length of the border of one segment with each other, float64 (count,)."""
    strength, length = np.zeros(count), np.zeros(count)
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = numbers[first], numbers[second]
        at = (a != b) & ((a == one) | (b == one))
        others = np.where(a == one, b, a)[at]
        length += np.bincount(others, minlength=count)
        if cost is not None:
            edge = np.maximum(cost[first], cost[second])[at]
            strength += np.bincount(others, edge, minlength=count)
    return strength, length
