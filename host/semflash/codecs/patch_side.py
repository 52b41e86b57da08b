"""Levels of detail of an image's patches: the stages of the device's side that give and use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class PatchCoder:
    """The encoder of one level of detail: coefficients of a patch, each with its own number of bits.

    Attributes:
        weights: float32 (c, side * side * C): coefficients of a patch's pixels in [0, 1], in raster order,
            channels last.
        bias: float32 (c,).
        bits: int (c,), 1 to 6 of each coefficient; their sum is a multiple of 8.
        thresholds: c arrays, ascending, 2**bits[i] - 1 each: the code of a coefficient is the number of
            thresholds that are not above it.
    """

    weights: np.ndarray
    bias: np.ndarray
    bits: np.ndarray
    thresholds: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class FallTables:
    """What the levels leave of a patch, from its own coefficients. The rows of the last level's coder are
    orthonormal, and those of the others are some of them.

    Attributes:
        picks: Of each level from 1 on, int (c,): for each of its coefficients the number of the same one in
            the last level's coder.
        centres: Of each level, c arrays of 2**bits: what stands for a code.
    """

    picks: tuple[np.ndarray, ...]
    centres: tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True)
class SelectStage:
    """Gives each patch of the image its level of detail, so that the payload never exceeds a rate.

    The bits of a level, and those of the payload besides, are the layout's.

    Attributes:
        scores: The tensor of values that a graph writes, one for each patch, (rows, columns, 1); in real
            numbers the logits of an attention over the patches.
        image: ``IMAGE`` of the device's side.
        output: The tensor of codes: the level of each patch, (rows, columns).
        background: The tensor of codes: the mean of each channel of the image, (C,), 4 bits each.
        side: Of a patch.
        distortion: Mean squared error that each level leaves, of a value in [0, 1], level 0 first; falling.
        weight: Patches count by ``exp(sharpness * (score - largest score))``; with "attention-variance" by
            that times the variance of the patch's luminance; with "importance" by ``(p + floor) / (1 +
            floor)``, p the logistic function of ``sharpness * score``; with "even" all alike.
        rate: The control that says how many bytes the payload may have.
        sharpness: See weight.
        floor: See weight; above 0.
        falls: With them the patch's own coefficients say what a level leaves, and not ``distortion``; the
            stage that encodes the patches then takes the background off. None: ``distortion`` does.
    """

    scores: str
    image: str
    output: str
    background: str
    side: int
    distortion: tuple[float, ...]
    weight: Literal["attention", "attention-variance", "importance", "even"]
    rate: str
    sharpness: float = 1.0
    floor: float = 0.02
    falls: FallTables | None = None


@dataclass(frozen=True)
class PatchesStage:
    """Encodes each patch as its level says.

    Attributes:
        image: ``IMAGE`` of the device's side.
        levels: The tensor of codes that is the level of each patch.
        side: Of a patch.
        outputs: A tensor of codes for each level from 1 on, (patches, bits / 8): the level's bits as bytes,
            the first coefficient and the most significant bit first.
        coders: One for each output.
        background: The tensor of codes of the mean colour, whose value ``(16 code + 7) / 255`` is taken off
            the pixels first; None: nothing is.
    """

    image: str
    levels: str
    side: int
    outputs: tuple[str, ...]
    coders: tuple[PatchCoder, ...]
    background: str | None = None
