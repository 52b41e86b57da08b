"""Which images of a split a smaller number stands for: never just the first ones, which may be one class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Default seed of samples; its own, so that another seed of the bit errors meets the same images.
SAMPLE_SEED = 0


def balanced(labels: NDArray[Any], count: int | None, seed: int = SAMPLE_SEED) -> NDArray[np.intp]:
    """Indices of ``count`` images, as many of each class as of another where there are enough.

    They come in turns, one of each class, and a smaller count with the same seed is the beginning of a larger
    one. Of boxes (N, M, 6), which have no one class per image, the sample is plain random. All images (None,
    or ``count`` of at least N) stay in their order.

    >>> labels = np.repeat([0, 1, 2], [70, 20, 10])
    >>> np.bincount(labels[balanced(labels, 36)]).tolist()
    [13, 13, 10]
    """
    total = len(labels)
    if count is None or count >= total:
        return np.arange(total)
    rng = np.random.default_rng(seed)
    order = rng.permutation(total)
    if not by_class(labels):
        return order[:count]
    ranks = _ranks(labels[order])
    return order[np.argsort(ranks, kind="stable")][:count]


def by_class(labels: NDArray[Any]) -> bool:
    """Whether images have one class each, so that a sample can have as many of each."""
    return labels.ndim == 1


def mixed(labels: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """All indices in an order whose every beginning has the classes' shares, as far as whole images allow."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    _, inverse, counts = np.unique(shuffled, return_inverse=True, return_counts=True)
    place = (_ranks(shuffled) + 0.5) / counts[inverse]
    return order[np.argsort(place, kind="stable")]


def _ranks(labels: NDArray[Any]) -> NDArray[np.intp]:
    """How many of the same label come before each."""
    by_label = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[by_label], return_index=True, return_counts=True)
    ranks = np.empty(len(labels), np.intp)
    ranks[by_label] = np.arange(len(labels)) - np.repeat(starts, counts)
    return ranks
