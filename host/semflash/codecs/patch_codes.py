"""What the stages of patches compute, in real numbers as far as a device is not bound to integers.

The selection itself is the device's, on integer weights, so that a rate is never exceeded here either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.codecs.patch_side import FallTables, PatchCoder, PatchesStage, SelectStage
from semflash.program.map_sizes import MapSizes
from semflash.program.reference import select
from semflash.program.reference.falls import slopes
from semflash.program.reference.patches import SHADE_FIRST, SHADE_STEP, cut

WEIGHT_ONE = 4096
_GAIN_MAX = 65_535
_PIXEL_MAX = 255


def gains(distortion: Sequence[float], level_bits: Sequence[int]) -> tuple[int, ...]:
    """What raising a patch to each level is worth for a bit, integers that do not rise.

    A level whose bits gain more than those of the level below it is never the last one of a patch: both get
    what they gain together.

    Args:
        distortion: Of each level, level 0 first.
        level_bits: Of each level, rising.

    >>> gains([1957, 985, 486, 240], [0, 8, 32, 96])
    (65535, 11215, 2073)
    >>> gains([100, 90, 10], [0, 8, 16])
    (65535, 65535)
    """
    steps = [
        [a - b, float(d - c)]
        for (a, b), (c, d) in zip(pairwise(distortion), pairwise(level_bits), strict=True)
    ]
    pooled: list[list[float]] = []
    for fall, bits in steps:
        pooled.append([fall, bits, 1])
        while len(pooled) > 1 and pooled[-1][0] * pooled[-2][1] > pooled[-2][0] * pooled[-1][1]:
            last = pooled.pop()
            pooled[-1] = [a + b for a, b in zip(pooled[-1], last, strict=True)]
    slopes = [fall / bits for fall, bits, count in pooled for _ in range(int(count))]
    return tuple(max(1, round(_GAIN_MAX * slope / slopes[0])) if slopes[0] > 0 else 1 for slope in slopes)


def weigh(stage: SelectStage, distances: NDArray[np.floating]) -> NDArray[np.int64]:
    """Weights, Q12, above 0, of scores: less the largest one of the image for the two kinds of attention, as
    they are for importance."""
    match stage.weight:
        case "importance":
            shares = 1 / (1 + np.exp(-np.clip(stage.sharpness * distances, -500, 500)))
            shares = (shares + stage.floor) / (1 + stage.floor)
        case "even":
            shares = np.ones_like(distances)
        case _:
            shares = np.exp(stage.sharpness * distances)
    return np.maximum(np.rint(WEIGHT_ONE * shares), 1).astype(np.int64)


def is_absolute(stage: SelectStage) -> bool:
    """Whether what a score is worth does not depend on the image's others."""
    return stage.weight in ("importance", "even")


def attention(stage: SelectStage, scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Weights of patches by real scores (N, ...), int64 (N, n), Q12, above 0."""
    flat = np.asarray(scores, np.float64).reshape(len(scores), -1)
    return weigh(stage, flat if is_absolute(stage) else flat - flat.max(axis=1, keepdims=True))


def shades(background: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Values in [0, 1] that codes of the background stand for."""
    return (SHADE_STEP * background.astype(np.float64) + (SHADE_FIRST + 128)) / _PIXEL_MAX


def less_background(images: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Patches (N, n, side * side * C) of images in [0, 1], less what the code of their mean stands for."""
    shade = shades(select.background(to_int8(images)))
    values = cut(np.asarray(images, np.float64), side)
    return np.asarray(values - np.tile(shade[:, None], (1, 1, side * side)))


def falls(
    tables: FallTables, coders: Sequence[PatchCoder], values: NDArray[np.floating]
) -> NDArray[np.int64]:
    """How much each level lowers the squared error of patches (..., side * side * C), int64 (..., levels -
    1), in sixteenths of a squared pixel value, as the device has it.

    Args:
        coders: Of the levels from 1 on.
        values: Of the patches, less the background.
    """
    last = coders[-1]
    sizes = values @ np.asarray(last.weights, np.float64).T + np.asarray(last.bias, np.float64)
    return falls_of(tables, coders, sizes)


def falls_of(
    tables: FallTables, coders: Sequence[PatchCoder], sizes: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The same of coefficients of the last level, (..., c)."""
    found = np.zeros((*sizes.shape[:-1], len(coders)))
    for level, (coder, picks) in enumerate(zip(coders, tables.picks, strict=True)):
        for number, pick in enumerate(picks.tolist()):
            steps = np.asarray(coder.thresholds[number], np.float64)
            own = sizes[..., pick]
            sent = np.asarray(tables.centres[level][number])[np.searchsorted(steps, own, side="right")]
            found[..., level] += sent * (2 * own - sent)
    return np.rint(found * (4 * _PIXEL_MAX) ** 2).astype(np.int64)


def to_int8(images: NDArray[np.floating]) -> NDArray[np.int8]:
    """Images in [0, 1] as a device gets them, pixel - 128."""
    pixels = np.rint(np.clip(np.asarray(images, np.float64), 0, 1) * _PIXEL_MAX)
    return (pixels - 128).astype(np.int8)


def levels(
    stage: SelectStage,
    sizes: MapSizes,
    scores: NDArray[np.floating],
    images: NDArray[np.floating],
    rates: ArrayLike,
    protect: ArrayLike = False,
    coders: Sequence[PatchCoder] = (),
) -> NDArray[np.uint8]:
    """The level of each patch of N images, uint8 (N, n).

    Args:
        sizes: Of the payload (:func:`semflash.program.map_sizes.map_sizes`).
        coders: Of the levels from 1 on, where the stage has falls.
        scores: Real scores (N, ...).
        images: (N, height, width, C) in [0, 1].
        rates: Bytes that each payload may have, one for all or (N,).
        protect: Whether the head is protected, one for all or (N,).

    Raises:
        ProgramError: A rate is below the smallest payload.
    """
    weights = attention(stage, scores)
    if stage.weight == "attention-variance":
        weights *= select.contrast(to_int8(images), stage.side) + 1
    if stage.falls is not None:
        found = falls(stage.falls, coders, less_background(images, stage.side))
        worth = slopes(found, sizes.levels) * weights[..., None]
        return select.select_by_worth(worth, sizes, rates, protect)
    return select.select(weights, gains(stage.distortion, sizes.levels), sizes, rates, protect)


def encode(coder: PatchCoder, patches: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Bytes (M, bits / 8) of patches (M, side * side * C) of values in [0, 1]."""
    weights = np.asarray(coder.weights, np.float64)
    values = np.asarray(patches, np.float64) @ weights.T + np.asarray(coder.bias, np.float64)
    columns = []
    for number, bits in enumerate(np.asarray(coder.bits).tolist()):
        steps = np.asarray(coder.thresholds[number], np.float64)
        codes = np.searchsorted(steps, values[:, number], side="right")
        columns.append(codes[:, None] >> np.arange(bits - 1, -1, -1) & 1)
    return np.packbits(np.concatenate(columns, axis=1).astype(np.uint8), axis=1)


def codes(
    stage: PatchesStage,
    images: NDArray[np.floating],
    chosen: NDArray[np.uint8],
    neutral: Mapping[str, int],
) -> dict[str, NDArray[np.uint8]]:
    """Bytes (N, n, bits / 8) by the tensor of each level; neutral where a patch has another one.

    Args:
        images: (N, height, width, C) in [0, 1].
        chosen: The level of each patch, (N, n).
        neutral: The neutral code of each tensor; 0 where there is none.
    """
    patches, found = cut(np.asarray(images), stage.side), {}
    if stage.background is not None:
        patches = less_background(np.asarray(images), stage.side)
    for level, (name, coder) in enumerate(zip(stage.outputs, stage.coders, strict=True), 1):
        here = chosen == level
        sent = np.full((*here.shape, int(np.sum(coder.bits)) // 8), neutral.get(name, 0), np.uint8)
        sent[here] = encode(coder, patches[here])
        found[name] = sent
    return found
