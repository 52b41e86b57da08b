"""Views of training images: small changes that anybody can make again from two numbers.

View ``a`` of image ``i`` is shifted, mirrored and coloured by four words of the counter-based generator
Philox4x64-10 with the key ``seed`` and the counter ``(i, a)`` (Salmon et al., "Parallel Random Numbers: As
Easy as 1, 2, 3", 2011). A share of the views is mixed with another image, drawn from four more words. View 0
is the image itself. All is done in whole numbers, so every machine sees the
same pixels: an answer that was stored for a view belongs to exactly the image that a training makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from semflash.data.augment import Moves
from semflash.errors import UsageError

#: Goes up when the same settings, seed, image and view give other pixels.
VERSION = 1
#: Views of one image that have numbers.
VIEWS_MAX = 1 << 16
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
#: Colour gains are multiples of 1 / 65,536.
_ONE = 1 << 16
#: Weights of a mixture add up to this.
_WHOLE = 256
_ROUNDS = 10
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_MASK = (1 << 64) - 1


class ViewSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a view may differ from its image.

    Attributes:
        shift_px: largest shift in each direction, pixels; what comes in is 0 (black).
        mirror: half of the views are mirrored left to right.
        gain: largest change of each channel's gain, a share: 0.15 is 0.85 to 1.15.
        mix: share of the views that are mixtures with another image (mixup, arXiv 1710.09412).
    """

    shift_px: Annotated[int, Meta(ge=0, le=64)] = 4
    mirror: bool = True
    gain: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.15
    mix: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0

    def plain(self) -> dict[str, Any]:
        """As what decides an answer; settings without mixtures as they were before there were any."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields if self.mix else {name: value for name, value in fields.items() if name != "mix"}


DEFAULT_VIEWS = ViewSettings()


@dataclass(frozen=True)
class Mixture:
    """What is mixed into n views.

    Attributes:
        partners: number of the image that is mixed in, int64 (n,); the image's own where nothing is.
        weights: of the image itself, int64 (n,), 1 to 256 of 256.
    """

    partners: np.ndarray
    weights: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Of the image itself, float32 (n,), 0 to 1."""
        return (self.weights / _WHOLE).astype(np.float32)


def mixture(
    indices: np.ndarray, views: np.ndarray, seed: int, images: int, how: ViewSettings = DEFAULT_VIEWS
) -> Mixture:
    """Which views are mixtures, and with which image.

    Args:
        indices: number of each image, (n,).
        views: which view of each, (n,).
        seed: of the views.
        images: of how many the other one is drawn, 1 to 2^32.
    """
    indices, views = (np.asarray(numbers).astype(np.int64) for numbers in (indices, views))
    words = philox(seed, indices, views + VIEWS_MAX)
    mixed = ((words[:, 0] & _WORD) < np.uint64(round(how.mix * (1 << 32)))) & (views > 0)
    partners = np.where(mixed, _of(words[:, 0] >> _HALF, images), indices)
    weights = np.where(partners == indices, _WHOLE, 1 + _of(words[:, 1] & _WORD, _WHOLE - 1))
    return Mixture(partners, weights)


def mixed_view(
    images: np.ndarray,
    others: np.ndarray,
    indices: np.ndarray,
    views: np.ndarray,
    seed: int,
    mixed: Mixture,
    how: ViewSettings = DEFAULT_VIEWS,
) -> np.ndarray:
    """Views with what is mixed into them: ``(w view + (256 - w) same view of the other + 128) / 256``, whole
    numbers.

    Args:
        images: uint8 (n, H, W, C).
        others: the images of ``mixed.partners``, uint8 of the same shape.
        indices, views, seed, how: see :func:`view`.
        mixed: see :func:`mixture`.
    """
    own = view(images, indices, views, seed, how).astype(np.uint32)
    other = view(others, mixed.partners, views, seed, how)
    weights = mixed.weights.astype(np.uint32)[:, None, None, None]
    return ((weights * own + (_WHOLE - weights) * other + _WHOLE // 2) // _WHOLE).astype(np.uint8)


def view(
    images: np.ndarray,
    indices: np.ndarray,
    views: np.ndarray,
    seed: int,
    how: ViewSettings = DEFAULT_VIEWS,
) -> np.ndarray:
    """Views of images.

    Args:
        images: uint8 (n, H, W, C).
        indices: number of each image in its data set, (n,), 0 to 2^63.
        views: which view of each, (n,), 0 to 65,535; 0: the image as it is.
        seed: of the views, 0 to 2^63.

    Returns:
        uint8 (n, H, W, C), a new array.

    Raises:
        UsageError: numbers are out of range, or not one for each image.
    """
    indices, views = _numbers(images, indices, "image", 1 << 63), _numbers(images, views, "view", VIEWS_MAX)
    words = philox(seed, indices, views)
    moved, changed = _moves(words, views, how), views > 0
    result = np.array(images)
    result[moved.mirrored] = result[moved.mirrored, :, ::-1]
    down, right = (how.shift_px - by[changed] for by in (moved.down, moved.right))
    result[changed] = _shifted(result[changed], how.shift_px, down, right)
    gains = _gains(words, images.shape[-1], how.gain)[changed]
    products = result[changed].astype(np.uint32) * gains[:, None, None, :]
    result[changed] = np.minimum((products + _ONE // 2) // _ONE, 255).astype(np.uint8)
    return result


def moves(indices: np.ndarray, views: np.ndarray, seed: int, how: ViewSettings = DEFAULT_VIEWS) -> Moves:
    """How :func:`view` moves each image, for boxes that must follow it; arguments as there, checked there."""
    return _moves(philox(seed, indices, views), np.asarray(views), how)


def _moves(words: np.ndarray, views: np.ndarray, how: ViewSettings) -> Moves:
    """Of the words of each view, uint64 (n, 4)."""
    size, changed = 2 * how.shift_px + 1, views > 0
    down, right = (how.shift_px - _of(half, size) for half in (words[:, 0] & _WORD, words[:, 0] >> _HALF))
    mirrored = ((words[:, 1] & np.uint64(1)) == 1) & how.mirror
    return Moves(mirrored & changed, np.where(changed, down, 0), np.where(changed, right, 0))


def philox(seed: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Words of Philox4x64-10 for key (seed, 0) and counters (first, second, 0, 0): uint64 (n, 4)."""
    counter = [np.asarray(first).astype(np.uint64), np.asarray(second).astype(np.uint64)]
    a, b = counter
    c, d = np.zeros_like(a), np.zeros_like(a)
    key = [seed, 0]
    for _ in range(_ROUNDS):
        high_a, low_a = _product(a, _MULTIPLIERS[0])
        high_c, low_c = _product(c, _MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ np.uint64(key[0]), low_c, high_a ^ d ^ np.uint64(key[1]), low_a
        key = [(one + step) & _MASK for one, step in zip(key, _WEYL, strict=True)]
    return np.stack([a, b, c, d], axis=1)


def _product(values: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """High and low half of the 128-bit products of uint64 (n,) with a constant."""
    high, low = np.uint64(factor >> 32), np.uint64(factor & 0xFFFFFFFF)
    top, bottom = values >> _HALF, values & _WORD
    least = bottom * low
    middle = top * low + (least >> _HALF)
    cross = bottom * high + (middle & _WORD)
    return top * high + (middle >> _HALF) + (cross >> _HALF), values * np.uint64(factor)


def _of(words: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers of 0 to size - 1 out of 32-bit words, int64 (n,)."""
    return ((words * np.uint64(size)) >> _HALF).astype(np.int64)


def _gains(words: np.ndarray, channels: int, most: float) -> np.ndarray:
    """Gain of each channel in units of 1 / 65,536, uint32 (n, channels)."""
    spread = round(most * _ONE)
    halves = np.stack([words[:, 1] >> _HALF, words[:, 2] & _WORD, words[:, 2] >> _HALF], axis=1)
    offsets = _of(halves[:, :channels], 2 * spread + 1)
    return (_ONE - spread + offsets).astype(np.uint32)


def _shifted(batch: np.ndarray, most: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C), moved by most - down and most - right pixels; what comes in is 0."""
    count, height, width, _ = batch.shape
    padded = np.pad(batch, ((0, 0), (most, most), (most, most), (0, 0)))
    rows = (down[:, None] + np.arange(height))[:, :, None]
    columns = (right[:, None] + np.arange(width))[:, None, :]
    shifted: np.ndarray = padded[np.arange(count)[:, None, None], rows, columns]
    return shifted


def _numbers(images: np.ndarray, numbers: np.ndarray, what: str, limit: int) -> np.ndarray:
    """Numbers as int64 (n,), checked."""
    numbers = np.asarray(numbers)
    if numbers.shape != (len(images),):
        raise UsageError(f"one {what} number goes with each image", value=f"{numbers.shape}, {len(images)}")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < limit:
        raise UsageError(f"{what} numbers are 0 to {limit - 1}", value=f"{numbers.min()}..{numbers.max()}")
    return numbers.astype(np.int64)
