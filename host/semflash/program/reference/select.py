"""Levels of an image's patches (``device/stages/select.c``), from their definition and not from the C.

Patches of equal level lie behind each other when they are sorted by falling weight, so the levels of an image
are told by its counts: how many patches have at least level 1, at least level 2, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.errors import ProgramError
from semflash.program.map_sizes import MapSizes
from semflash.program.patch_stages import Select
from semflash.program.reference.patches import cut

_LUMINANCE = np.array([77, 150, 29], np.int64)
_LUMINANCE_BITS = 8
_STEPS_OF_MEAN = 16
_SCORE_MAX = 127


def weights(stage: Select, scores: NDArray[np.int8], images: NDArray[np.int8]) -> NDArray[np.int64]:
    """What each patch counts, int64 (N, n), above 0.

    Args:
        scores: (N, ...), n of each image.
        images: (N, height, width, C), pixel - 128.
    """
    attention = attention_of(stage, scores.reshape(len(scores), -1))
    return attention * (contrast(images, stage.side) + 1) if stage.contrast else attention


def attention_of(stage: Select, scores: NDArray[np.int8]) -> NDArray[np.int64]:
    """What each patch counts by its score alone, int64 (N, n), of scores (N, n)."""
    flat = scores.astype(np.int64)
    largest = _SCORE_MAX if stage.absolute is True else flat.max(axis=1, keepdims=True)
    return np.asarray(np.array(stage.table, np.int64)[largest - flat])


def contrast(images: NDArray[np.int8], side: int) -> NDArray[np.int64]:
    """Variance of the luminance of each patch, rounded down, int64 (N, n).

    The luminance of three channels is ``(77 R + 150 G + 29 B + 128) / 256``, rounded down.

    Args:
        images: (N, height, width, 1 or 3), pixel - 128.
    """
    values = cut(images, side).reshape(len(images), -1, side * side, images.shape[3]).astype(np.int64)
    if images.shape[3] == 1:
        bright = values[..., 0]
    else:
        bright = (values @ _LUMINANCE + (1 << (_LUMINANCE_BITS - 1))) >> _LUMINANCE_BITS
    pixels = side * side
    spread = pixels * (bright * bright).sum(axis=2) - bright.sum(axis=2) ** 2
    return spread // pixels**2


def background(images: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Mean of each channel in sixteenths of its range, rounded down, uint8 (N, C)."""
    sums = (images.astype(np.int64) + 128).sum(axis=(1, 2))
    return (sums // (_STEPS_OF_MEAN * images.shape[1] * images.shape[2])).astype(np.uint8)


def select(
    weights: NDArray[np.integer],
    gains: Sequence[int],
    sizes: MapSizes,
    rates: ArrayLike,
    protect: ArrayLike = False,
) -> NDArray[np.uint8]:
    """The level of each patch of N images, uint8 (N, n).

    Args:
        weights: (N, n), not negative.
        gains: Of the levels from 1 on, not rising.
        sizes: Of the payload.
        rates: Bytes that the payload may have, one for all or (N,).
        protect: Whether the head is protected, one for all or (N,).

    Raises:
        ProgramError: A rate is below the smallest payload.
    """
    images, places = weights.shape
    room, protected = _room(images, sizes, rates, protect)
    order = np.argsort(-weights.astype(np.int64), axis=1, kind="stable")
    ranked = np.take_along_axis(weights.astype(np.int64), order, axis=1)
    counts = _Counts(ranked, np.asarray(gains, np.int64), sizes, room, protected)
    chosen = counts.filled(counts.furthest())
    levels = (np.arange(places)[None, :, None] < chosen[:, None, :]).sum(axis=2).astype(np.uint8)
    found = np.empty_like(levels)
    np.put_along_axis(found, order, levels, axis=1)
    return found


def select_by_worth(
    worth: NDArray[np.int64], sizes: MapSizes, rates: ArrayLike, protect: ArrayLike = False
) -> NDArray[np.uint8]:
    """The same where raising each patch to each level has a worth of its own.

    Args:
        worth: (N, n, levels - 1), not negative, not rising with the level.

    Raises:
        ProgramError: A rate is below the smallest payload.
    """
    images, places, steps = worth.shape
    room, protected = _room(images, sizes, rates, protect)
    # By falling worth; of equal ones the lower level, then the first patch. No level is before a lower one.
    flat = worth.transpose(0, 2, 1).reshape(images, -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    reached = np.arange(1, steps + 1)
    made = (order // places)[..., None] + 1 == reached
    counts = np.concatenate([np.zeros((images, 1, steps), np.int64), made.cumsum(axis=1)], axis=1)
    fits = sizes.total(counts, protected[:, None]) <= room[:, None]
    last = fits.shape[1] - 1 - fits[:, ::-1].argmax(axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
    taken = (rank < last[:, None]).reshape(images, steps, places)
    levels = taken.sum(axis=1)
    at = np.take_along_axis(counts, last[:, None, None], axis=1)[:, 0]
    return _filled_by_worth(worth, levels, at, sizes, room, protected).astype(np.uint8)


def _filled_by_worth(
    worth: NDArray[np.int64],
    levels: NDArray[np.int64],
    counts: NDArray[np.int64],
    sizes: MapSizes,
    room: NDArray[np.int64],
    protected: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Levels with the worthiest upgrades that fit, until none does."""
    images, _, steps = worth.shape
    every, ones = np.arange(images), np.eye(steps, dtype=np.int64)
    before = np.concatenate([np.full((images, 1), worth.shape[1]), counts[:, :-1]], axis=1)
    while True:
        before[:, 1:] = counts[:, :-1]
        more = counts[:, None] + ones
        sound = np.minimum(more, np.maximum(before, counts)[:, None])
        fits = (sizes.total(sound, protected[:, None]) <= room[:, None]) & (counts < before)
        next_worth = np.take_along_axis(worth, np.minimum(levels, steps - 1)[..., None], axis=2)[..., 0]
        can = (levels < steps) & np.take_along_axis(fits, np.minimum(levels, steps - 1), axis=1)
        if not can.any():
            return levels
        found = np.where(can, next_worth, -1)
        best = found.max(axis=1, keepdims=True)
        # Of equal ones the lower level, then the first patch.
        choice = np.where(can & (found == best), levels, steps).argmin(axis=1)
        now = can.any(axis=1)
        level = levels[every, choice]
        counts = counts + np.where(now[:, None], ones[np.minimum(level, steps - 1)], 0)
        levels = levels.copy()
        levels[every, choice] += now


def _room(
    images: int, sizes: MapSizes, rates: ArrayLike, protect: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bits that each payload may have, and whether its head is protected."""
    room = np.broadcast_to(8 * np.asarray(rates, np.int64), (images,))
    protected = np.broadcast_to(np.asarray(protect, np.bool_), (images,))
    least = np.where(protected, sizes.least(True), sizes.least(False))
    if (room < least).any():
        raise ProgramError(
            "a rate is below the smallest payload",
            value=int((room // 8).min(initial=1 << 30)),
            remedy=f"give at least {-(-int(least.max()) // 8)} bytes",
        )
    return room, protected


class _Counts:
    """Counts of N images, int64 (N, levels - 1), and what an upgrade of each is worth."""

    def __init__(
        self,
        ranked: NDArray[np.int64],
        gains: NDArray[np.int64],
        sizes: MapSizes,
        room: NDArray[np.int64],
        protected: NDArray[np.bool_],
    ) -> None:
        # A patch beyond the last one, which is never upgraded, spares a case.
        self._ranked = np.pad(ranked, ((0, 0), (0, 1)))
        self._gains, self._sizes = gains, sizes
        self._room, self._protected = room, protected

    def furthest(self) -> NDArray[np.int64]:
        """The last state that fits, of those on the way of the worthiest upgrades."""
        images, places = self._ranked.shape[0], self._ranked.shape[1] - 1
        counts = np.zeros((images, len(self._gains)), np.int64)
        best = counts.copy()
        every = np.arange(images)
        for _ in range(places * len(self._gains)):
            counts[every, self._worth(counts).argmax(axis=1)] += 1
            best = np.where(self._fits(counts)[:, None], counts, best)
        return best

    def filled(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts with the worthiest upgrades that fit, until none does."""
        steps = np.eye(len(self._gains), dtype=np.int64)
        while True:
            worth = self._worth(counts)
            fits = np.stack([self._fits(counts + step) for step in steps], axis=1)
            worth = np.where(fits, worth, -1)
            can = worth.max(axis=1) >= 0
            if not can.any():
                return counts
            counts = counts + np.where(can[:, None], steps[worth.argmax(axis=1)], 0)

    def _worth(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """What raising the next patch to each level is worth; -1 where no patch may be raised."""
        before = np.concatenate(
            [np.full((len(counts), 1), self._ranked.shape[1] - 1), counts[:, :-1]], axis=1
        )
        worth = np.take_along_axis(self._ranked, counts, axis=1) * self._gains
        return np.where(counts < before, worth, -1)

    def _fits(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        # Upgrades that no patch may have lead to counts above the one before, or above all places.
        sound = np.minimum(counts, self._ranked.shape[1] - 1)
        return self._sizes.total(sound, self._protected) <= self._room
