"""Views of training images: small changes that anybody can make again from two numbers.

View ``a`` of image ``i`` is shifted, mirrored and coloured by four words of the counter-based generator
Philox4x64-10 with the key ``seed`` and the counter ``(i, a)`` (Salmon et al., "Parallel Random Numbers: As
Easy as 1, 2, 3", 2011). View 0 is the image itself. All is done in whole numbers, so every machine sees the
same pixels: an answer that was stored for a view belongs to exactly the image that a training makes of it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from semflash.errors import UsageError

#: Goes up when the same settings, seed, image and view give other pixels.
VERSION = 1
#: Views of one image that have numbers.
VIEWS_MAX = 1 << 16
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
#: Colour gains are multiples of 1 / 65,536.
_ONE = 1 << 16
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
    """

    shift_px: Annotated[int, Meta(ge=0, le=64)] = 4
    mirror: bool = True
    gain: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.15


DEFAULT_VIEWS = ViewSettings()


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
    size = 2 * how.shift_px + 1
    down = _of(words[:, 0] & _WORD, size)
    right = _of(words[:, 0] >> _HALF, size)
    mirrored = ((words[:, 1] & np.uint64(1)) == 1) & how.mirror
    changed = views > 0
    result = np.array(images)
    result[changed & mirrored] = result[changed & mirrored, :, ::-1]
    result[changed] = _shifted(result[changed], how.shift_px, down[changed], right[changed])
    gains = _gains(words, images.shape[-1], how.gain)[changed]
    products = result[changed].astype(np.uint32) * gains[:, None, None, :]
    result[changed] = np.minimum((products + _ONE // 2) // _ONE, 255).astype(np.uint8)
    return result


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
