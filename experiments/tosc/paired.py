"""Two codecs on the same images under the same noise: sign test, and the interval of the difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Quantile of the normal distribution for an interval of 95 %.
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Paired:
    """The comparison of two codecs over images.

    Attributes:
        seeds: trainings that both have. images: of the test split.
        difference: mean share of right answers, one less the other.
        low, high: interval of 95 % of the difference over images; the trainings count as they are.
        better, worse: images on which one or the other was right more often, all seeds and realisations
            together; the rest is level.
        probability: of a split at least as uneven if both were equally good (sign test, two-sided).
    """

    seeds: tuple[int, ...]
    images: int
    difference: float
    low: float
    high: float
    better: int
    worse: int
    probability: float


def paired(one: Mapping[int, np.ndarray], other: Mapping[int, np.ndarray], trials: int) -> Paired | None:
    """Compare; None: no seed has both.

    Args:
        one: seed -> right answers of each image, (images,). other: the same.
        trials: answers that each image got in a seed.
    """
    seeds = tuple(sorted(one.keys() & other.keys()))
    if not seeds:
        return None
    each = np.sum([one[seed].astype(np.int64) - other[seed] for seed in seeds], axis=0)
    shares = each / (trials * len(seeds))
    middle = float(shares.mean())
    reach = _NORMAL_95 * float(shares.std(ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else math.inf
    better, worse = int((each > 0).sum()), int((each < 0).sum())
    return Paired(
        seeds, len(each), middle, middle - reach, middle + reach, better, worse, sign_test(better, worse)
    )


def sign_test(better: int, worse: int) -> float:
    """Two-sided probability of a split at least as uneven by chance, from the binomial distribution.

    >>> sign_test(5, 0), sign_test(0, 0), round(sign_test(8, 2), 4)
    (0.0625, 1.0, 0.1094)
    """
    count, less = better + worse, min(better, worse)
    below = sum(math.comb(count, wins) for wins in range(less + 1))
    return min(1.0, 2 * below / 2**count)


def probability_text(probability: float) -> str:
    """Four digits, or that it is less.

    >>> probability_text(0.03125), probability_text(1e-9)
    ('0.0312', 'below 0.0001')
    """
    return "below 0.0001" if probability < 1e-4 else f"{probability:.4f}"
