"""Ways to spend the bits of an image: which patch is sent with how many."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from experiments.multires import names
from semflash.codecs.multires.pictures import chance_weights
from semflash.codecs.multires.selecting import attention_weights, contrast, levels_of
from semflash.codecs.multires.sizes import MultiresSizes

#: Bits that every payload with a map has besides: mean colour 12, check 16.
BESIDES = 28
ONE = 1 << 12

Weights = NDArray[np.int64]


def weights_by_arm(
    images: NDArray[np.uint8],
    cover: NDArray[np.uint8],
    teacher: NDArray[np.floating],
    student: NDArray[np.floating],
    sizes: MultiresSizes,
) -> dict[str, Weights]:
    """What each patch counts, int64 (N, patches), by who ranks them.

    Args:
        cover: Share of each patch that the object covers, (N, rows, columns), 0..255.
        teacher: Attention of the teacher, (N, patches), above 0.
        student: Scores of the student, (N, patches).
    """
    spread = contrast(images, sizes.patch)
    theirs = attention_weights(np.log(np.maximum(teacher, 1e-12)), sizes.sharpness)
    own = attention_weights(student, sizes.sharpness)
    return {
        names.ORACLE: 1 + ONE * cover.reshape(len(cover), -1).astype(np.int64) // 255,
        names.TEACHER: theirs,
        names.TEACHER_VARIANCE: theirs * spread,
        names.STUDENT: own,
        names.STUDENT_VARIANCE: own * spread,
        names.VARIANCE: spread,
        names.CHANCE: chance_weights(len(images), sizes.patches, np.random.default_rng(3)),
    }


def selected(
    weights: Weights, sizes: MultiresSizes, distortion: NDArray[np.floating], rate: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bits of each patch, int64 (N, patches), as the device selects them, and of the whole payload (N,)."""
    levels = levels_of(weights, sizes, distortion, rate)
    counts = np.stack([(levels >= level).sum(axis=1) for level in range(1, len(sizes.level_bits))], axis=1)
    return np.array(sizes.level_bits)[levels], sizes.map_sizes.total(counts, False)


def one_bit(weights: Weights, sizes: MultiresSizes, rate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many of the best patches as fit at the highest level, and nothing of the others (arXiv 2405.01521).

    The map is the rank of the subset, as ours, rather than a bit for each patch.
    """
    places, bits = sizes.patches, sizes.level_bits[-1]
    count_bits = places.bit_length()

    def total(count: int) -> int:
        return BESIDES + count_bits + (comb(places, count) - 1).bit_length() + count * bits

    most = max(count for count in range(places + 1) if total(count) <= 8 * rate)
    order = np.argsort(-weights, axis=1, kind="stable")
    found = np.zeros(weights.shape, np.int64)
    np.put_along_axis(found, order[:, :most], bits, axis=1)
    return found, np.full(len(weights), total(most))


def importance_aware(
    weights: Weights, errors: dict[int, float], rate: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bits a patch that minimise the weighted error, one step after the other (arXiv 2412.06038): any number
    that a coder exists for, told by a plain map.

    Args:
        errors: Mean squared error by bits of a patch, 0 among them.
    """
    steps = sorted(errors)
    plain = (len(steps) - 1).bit_length() * weights.shape[1] + BESIDES
    room = np.full(len(weights), 8 * rate - plain)
    place = np.zeros(weights.shape, np.int64)
    bits, error = np.array(steps), np.array([errors[each] for each in steps])
    every = np.arange(len(weights))
    while True:
        after = np.minimum(place + 1, len(steps) - 1)
        cost = bits[after] - bits[place]
        fits = (cost > 0) & (cost <= room[:, None])
        worth = np.where(fits, weights * (error[place] - error[after]) / np.maximum(cost, 1), -1.0)
        best = worth.argmax(axis=1)
        can = worth[every, best] > 0
        if not can.any():
            return bits[place], plain + bits[place].sum(axis=1)
        room = room - np.where(can, cost[every, best], 0)
        place[every, best] += can
