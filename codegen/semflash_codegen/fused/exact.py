"""Requantisation equal to gemmlowp's in two to five instructions, for every accumulator that fits.

TFLite (gemmlowp, double rounding), for accumulator a, multiplier m (31 bits), right shift n:

    v = floor((2 a m + 2^31) / 2^32);  out = round_half_away(v / 2^n) + zero_point

SMMLAR gives R + v at once. With R = 2^(n-1) + ((zero_point + 128) << n) the rest is a shift to the right:

    out + 128 = clamp((R + v + (a < 0 ? -1 : 0)) >> n)

since halves of negative values round away from zero, which is down. Where a < 0 and v = 0 the -1 does no harm
for n >= 1. Where negative values end at the lower bound anyway, it is left out. Nothing has to be proven:
both sides are the same arithmetic, as long as nothing leaves 32 bits, which :func:`find_exact` checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflash_codegen.fused.requantise import Channelwise, Ints, reference

Bools = NDArray[np.bool_]

_SHIFT_MAX = 22
"""255 << 22 and what is added to it fit 31 bits."""
_ACC_BITS = 30


@dataclass(frozen=True, eq=False)
class ExactForm:
    """Constants of one layer, per channel (int64).

    Attributes:
        signed: Negative accumulators get their -1.
        m: Multiplier.
        r: What SMMLAR adds: rounding and zero point.
        n: Shift to the right.
        live: False where every reachable accumulator gives the same byte, which r holds: such a channel needs
        no
            weights and no bias.
        low: Smallest byte (code + 128); clamping to 0 is free.
        high: Largest byte; clamping to 255 is free.
    """

    signed: bool
    m: Ints
    r: Ints
    n: Ints
    live: Bools
    low: int
    high: int

    @property
    def shift(self) -> int:
        """The shift of all channels, or 0 where they differ (or do not shift)."""
        return int(self.n[0]) if (self.n == self.n[0]).all() else 0


def exact(acc: Ints, form: ExactForm) -> Ints:
    """The byte (code + 128) that the device computes for accumulators of shape (channels, n)."""
    acc = np.where(form.live[:, None], acc, 0)
    v = (2 * acc * form.m[:, None] + (form.r[:, None] << 32) + (1 << 31)) >> 32
    if form.signed:
        v = v + (acc >> 63)
    out: Ints = np.clip(np.clip(v >> form.n[:, None], 0, 255), form.low, form.high)
    return out


def find_exact(layer: Channelwise, low_acc: Ints, high_acc: Ints) -> ExactForm | None:
    """The exact form, or None where a left shift or a number of more than 31 bits is in the way.

    Both ends of a channel's accumulators tell whether it is constant: TFLite's function is monotone.

    Args:
        low_acc: The smallest reachable accumulator of each channel.
        high_acc: The largest reachable accumulator of each channel.
    """
    constant = reference(np.stack([low_acc, high_acc], axis=1), layer)
    live: Bools = (constant[:, 0] != constant[:, 1]) & (layer.multiplier > 0)
    m, n = np.where(live, layer.multiplier, 0), np.where(live, -layer.shift, 0)
    largest = np.where(live, np.maximum(np.abs(low_acc), np.abs(high_acc)), 0)
    if (n < 0).any() or (n > _SHIFT_MAX).any() or (largest >> _ACC_BITS).any():
        return None
    n = np.where(live, n, max(1, int(n[live].max(initial=1))))
    signed = layer.low < layer.zero_point and bool((low_acc[live] < 0).any())
    if signed and (n == 0).any():
        return None
    half = np.where(n > 0, np.left_shift(1, np.maximum(n - 1, 0)), 0)
    value = np.where(live, layer.zero_point, constant[:, 0])
    r = half + np.left_shift((value + 128).astype(np.int64), n)
    if ((r + ((2 * largest * m + (1 << 31)) >> 32) + 1) >> 31).any():
        return None
    return ExactForm(signed, m, r, n, live, layer.low + 128, layer.high + 128)
