"""From int32 accumulators to bytes: TFLite's arithmetic, the cheap form on the Cortex-M4, and the proof.

TFLite (gemmlowp, double rounding), for accumulator a, multiplier m (31 bits), shift e:

    v = floor((a 2^max(e,0) m + 2^30) / 2^31);  out = round_half_away(v / 2^n) + zero_point;  n = max(-e, 0)

Cheap form, with accumulators that are 2^k a (k is folded into the weights):

    x = (2^k a m) >> 32                               SMMLA adds B at once; S = n + k - 1
    out + 128 = clamp((x + B - (a < 0 ? D : 0)) >> S)

with B = 2^(S-1) + 2^(k-2) + (zero_point + 128) 2^S and D = 2^(k-1): the second term of B is half a unit of
the first rounding, D moves it to the other side for negative values, whose halves round away from zero. A
layer whose activation clamps every negative value needs no D. Both sides are monotone step functions of `a`,
so they are equal on the whole reachable range if they are equal on both sides of every step of either:
:func:`steps` lists them (those of TFLite suffice, since monotone functions cannot differ in between).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_K_MIN = 2
K_MAX = 8
"""127 << 8 is the largest weight that fits int16."""
_INT32 = 1 << 31


@dataclass(frozen=True)
class Channelwise:
    """Requantisation of one layer, channel by channel (arrays of int64, one entry per channel)."""

    multiplier: Ints
    shift: Ints
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class CheapForm:
    """Constants of the cheap form. signed: D is needed. packed: S is 16, two channels a PKHTB and USAT16."""

    s: int
    signed: bool
    k: Ints
    m: Ints
    b: Ints
    d: Ints
    low: int
    """Smallest byte (code + 128); clamping to 0 is free."""
    high: int
    """Largest byte; clamping to 255 is free."""
    gain: int
    """So many of the k bits are in the inputs (0..255 << gain), the others in the weights."""

    @property
    def packed(self) -> bool:
        return self.s == 16


def reference(acc: Ints, layer: Channelwise) -> Ints:
    """TFLite's int8 result for accumulators of shape (channels, n)."""
    m, e = layer.multiplier[:, None], layer.shift[:, None]
    left, n = np.maximum(e, 0), np.maximum(-e, 0)
    product = (acc << left) * m
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    v = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    mask = (np.int64(1) << n) - 1
    rounded = (v >> n) + ((v & mask) > (mask >> 1) + (v < 0))
    out: Ints = np.clip(rounded + layer.zero_point, layer.low, layer.high)
    return out


def cheap(acc: Ints, form: CheapForm) -> Ints:
    """The byte (code + 128) that the device computes for accumulators of shape (channels, n)."""
    hi = (((acc << form.k[:, None]) * form.m[:, None]) >> 32) + form.b[:, None]
    if form.signed:
        hi = hi - np.where(acc < 0, form.d[:, None], 0)
    out: Ints = np.clip(np.clip(hi >> form.s, 0, 255), form.low, form.high)
    return out


def find_form(
    layer: Channelwise,
    low_acc: Ints,
    high_acc: Ints,
    magnitude: Ints,
    *,
    gain_max: int = 0,
    k_max: int = K_MAX,
) -> CheapForm | None:
    """A proven cheap form, or None: then the general requantisation runs.

    Args:
        low_acc: The smallest reachable accumulator of each channel.
        high_acc: The largest reachable accumulator of each channel.
        magnitude: Bound of every partial sum per channel (so that no intermediate leaves int32).
        gain_max: By how many bits inputs may be shifted left.
        k_max: By how many bits weights may be shifted left.
    """
    points = steps(layer, low_acc, high_acc)
    expected = reference(points, layer)
    negatives_clamp = layer.low >= layer.zero_point or bool((low_acc >= 0).all())
    for signed in (False, True) if negatives_clamp else (True,):
        for s in (16, *range(15, 3, -1), *range(17, 23)):
            for gain in range(gain_max + 1):
                form = _form(layer, s, signed, low_acc, high_acc, magnitude, gain, k_max + gain)
                if form is None:
                    continue
                if agrees(form, points, expected):
                    return form
                break  # another gain only moves bits between inputs and weights
    return None


def _form(
    layer: Channelwise, s: int, signed: bool, low: Ints, high: Ints, magnitude: Ints, gain: int, k_max: int
) -> CheapForm | None:
    """Constants for a common shift S, or None where they do not fit."""
    n = np.maximum(-layer.shift, 0)
    k = s + 1 + layer.shift
    m = layer.multiplier.copy()
    k_min = max(_K_MIN, gain)
    if (k[m > 0] > k_max).any():
        return None
    k = np.where(m == 0, k_min, k)
    excess = np.maximum(k_min - k, 0)  # a very small scale: fewer bits of the multiplier; the proof decides
    m = np.where(
        excess > 40, 0, (m + ((np.int64(1) << np.minimum(excess, 40)) >> 1)) >> np.minimum(excess, 40)
    )
    k = np.maximum(k, k_min)
    half = np.int64(1) << (s - 1)
    first = np.where(n > 0, np.int64(1) << (k - 2), 0)
    b = half + first + (np.int64(layer.zero_point + 128) << s)
    d = np.where(n > 0, np.int64(1) << (k - 1), 0)
    if ((magnitude << k) >= _INT32).any():
        return None
    form = CheapForm(s, signed, k, m, b, d, layer.low + 128, layer.high + 128, gain)
    for acc in (low, high):
        hi = (((acc << k) * m) >> 32) + b
        if (np.abs(hi) + d >= _INT32).any():
            return None
    return form


def agrees(form: CheapForm, points: Ints, expected: Ints) -> bool:
    """Whether the device gives TFLite's results: at the points of :func:`steps`, hence wherever it can be."""
    return bool((cheap(points, form) - 128 == expected).all())


def steps(layer: Channelwise, low: Ints, high: Ints) -> Ints:
    """Accumulators (channels, n) on both sides of every step of TFLite's function, and both ends.

    A monotone function that agrees on all of them agrees on everything between.
    """
    levels = np.arange(layer.low + 1, layer.high + 1, dtype=np.int64)
    first = _first_at_least(lambda a: reference(a, layer), levels, low, high)
    before = np.clip(first - 1, low[:, None], high[:, None])
    points: Ints = np.concatenate([low[:, None], high[:, None], before, first], axis=1)
    return points


def _first_at_least(function, levels: Ints, low: Ints, high: Ints) -> Ints:  # type: ignore[no-untyped-def]
    """Smallest accumulator with function(a) >= level, for a monotone function; `high` where there is none."""
    shape = (low.size, levels.size)
    left = np.broadcast_to(low[:, None], shape).copy()
    right = np.broadcast_to(high[:, None], shape).copy()
    while (left < right).any():
        middle = (left + right) >> 1
        reached = function(middle) >= levels[None, :]
        right = np.where(reached, middle, right)
        left = np.where(reached, left, np.minimum(middle + 1, right))
    return left
