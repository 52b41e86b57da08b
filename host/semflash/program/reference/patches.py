"""Codes of an image's patches (``device/stages/patches.c``), from their definition and not from the C."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from semflash.program.patch_stages import Coder, Patches

_PATCHES_PER_CHUNK = 16_384
#: The value of a pixel that a code of the background stands for: 16 code and this.
SHADE_FIRST, SHADE_STEP = -121, 16


def cut(images: NDArray, side: int) -> NDArray:
    """Images (N, height, width, C) to their patches in raster order, (N, n, side * side * C)."""
    count, height, width, channels = images.shape
    parts = images.reshape(count, height // side, side, width // side, side, channels)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, side * side * channels)


def less_background(
    images: NDArray[np.int8], side: int, background: NDArray[np.uint8] | None
) -> NDArray[np.int16]:
    """Values of the patches of images (N, height, width, C), int16 (N, n, side * side * C), less the colour
    that codes (N, C) stand for."""
    values = cut(images, side).astype(np.int16)
    if background is None:
        return values
    shade = SHADE_STEP * background.astype(np.int16) + SHADE_FIRST
    return np.asarray(values - np.tile(shade[:, None], (1, 1, side * side)), np.int16)


def sums_of(coder: Coder, values: NDArray[np.integer]) -> NDArray[np.int64]:
    """The coefficients of patches (M, side * side * C), int64 (M, c)."""
    weights = np.array(coder.weights, np.float64).reshape(len(coder.bits), values.shape[1])
    # whole numbers below 2^31, which float64 adds up exactly, and much faster than int64
    return (values.astype(np.float64) @ weights.T).astype(np.int64)


def encode(coder: Coder, values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bytes (M, bits / 8) of patches, whole numbers (M, side * side * C)."""
    sent = np.empty((len(values), sum(coder.bits) // 8), np.uint8)
    for start in range(0, len(values), _PATCHES_PER_CHUNK):
        part = slice(start, start + _PATCHES_PER_CHUNK)
        sent[part] = np.packbits(_bits(coder, sums_of(coder, values[part])), axis=1)
    return sent


def _bits(coder: Coder, sums: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits (M, all of a patch's) of coefficients (M, c)."""
    ends = list(accumulate((1 << bits) - 1 for bits in coder.bits))
    columns = []
    for number, (bits, end) in enumerate(zip(coder.bits, ends, strict=True)):
        steps = np.array(coder.thresholds[end - (1 << bits) + 1 : end], np.int64)
        codes = np.searchsorted(steps, sums[:, number], side="right")
        columns.append(codes[:, None] >> np.arange(bits - 1, -1, -1) & 1)
    return np.concatenate(columns, axis=1).astype(np.uint8)


def codes(
    stage: Patches,
    images: NDArray[np.int8],
    levels: NDArray[np.uint8],
    neutral: dict[str, int],
    background: NDArray[np.uint8] | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """Bytes (N, n, bits / 8) by the tensor of each level; neutral where a patch has another one.

    Args:
        images: (N, height, width, C), pixel - 128.
        levels: (N, rows, columns).
        neutral: The neutral code of each tensor.
        background: Codes (N, C) of the stage's background, where it has one.
    """
    values, flat = less_background(images, stage.side, background), levels.reshape(len(levels), -1)
    found = {}
    for level, (name, coder) in enumerate(zip(stage.outputs, stage.coders, strict=True), 1):
        sent = np.full((*flat.shape, sum(coder.bits) // 8), neutral[name], np.uint8)
        here = flat == level
        sent[here] = encode(coder, values[here])
        found[name] = sent
    return found
