"""What the device does, in real numbers: coefficients, levels, codes, and what arrives of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.codecs.lamsc.fitting import Levels
from semflash.codecs.lamsc.sizes import BLOCK, LamscSizes
from semflash.codecs.patch_codes import WEIGHT_ONE, falls_of, less_background
from semflash.program.reference import select
from semflash.program.reference.falls import slopes

_PIXEL_MAX = 255.0


class Coding:
    """The closed form at work on arrays.

    Args:
        closed: Transform and levels.
        sizes: Of the codec.
    """

    def __init__(self, closed: Levels, sizes: LamscSizes) -> None:
        self.closed, self.sizes = closed, sizes

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Bits, thresholds (infinite beyond the last) and centres, by level, 0 first."""
        kinds, count = len(self.sizes.level_bits), self.sizes.coefficients
        most = 1 << max(1, int(self.closed.bits.max()))
        bits = np.zeros((kinds, count), np.int64)
        thresholds = np.full((kinds, count, most - 1), np.inf, np.float32)
        centres = np.zeros((kinds, count, most), np.float32)
        bits[1:] = self.closed.bits
        for level, each in enumerate(self.closed.centres, 1):
            for which, own in enumerate(each):
                if len(own):
                    thresholds[level, which, : len(own) - 1] = (own[1:] + own[:-1]) / 2
                    centres[level, which, : len(own)] = own
        return bits, thresholds, centres

    def analyse(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Coefficients float32 (N, blocks, K) and codes of the mean colour (N, C) of images (N, H, W, C)."""
        values = less_background(images.astype(np.float32) / _PIXEL_MAX, BLOCK)
        return (values @ self.closed.vectors).astype(np.float32), background(images)

    def worth(self, coefficients: NDArray[np.floating]) -> NDArray[np.int64]:
        """What raising a block of weight 1 is worth for a bit, int64 (N, blocks, levels - 1)."""
        last = np.flatnonzero(self.closed.bits[-1])
        falls = falls_of(self.closed.tables, self.closed.coders, coefficients[..., last].astype(np.float64))
        return slopes(falls, self.sizes.level_bits)

    def weights(self, importance: NDArray[np.floating]) -> NDArray[np.int64]:
        """What blocks of an importance of 0..1 count, int64, above 0; all alike without ASI."""
        if not self.sizes.asi:
            return np.full(importance.shape, WEIGHT_ONE, np.int64)
        floor = self.sizes.floor
        shares = (np.asarray(importance, np.float64) + floor) / (1 + floor)
        return np.maximum(np.rint(WEIGHT_ONE * shares), 1).astype(np.int64)

    def levels(
        self,
        worth: NDArray[np.int64],
        weights: NDArray[np.int64],
        rates: ArrayLike,
        protect: ArrayLike = False,
    ) -> NDArray[np.uint8]:
        """The level of each block, uint8 (N, blocks), so that no payload exceeds its rate."""
        return select.select_by_worth(worth * weights[..., None], self.sizes.map_sizes, rates, protect)

    def codes(self, coefficients: NDArray[np.floating], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Codes (N, blocks, K) of blocks at these levels; 0 of a coefficient without bits."""
        _, thresholds, _ = self._tables
        found = np.empty(coefficients.shape, np.uint8)
        for level in range(len(thresholds)):
            here = levels == level
            found[here] = (coefficients[here][..., None] >= thresholds[level]).sum(axis=-1)
        return found

    def flipped(
        self,
        codes: NDArray[np.uint8],
        levels: NDArray[np.uint8],
        bers: NDArray[np.floating],
        rng: np.random.Generator,
    ) -> NDArray[np.uint8]:
        """The codes behind a channel that flips each bit of image i with probability ``bers[i]``."""
        bits = self._tables[0][levels]
        found = codes.copy()
        for bit in range(int(bits.max(initial=0))):
            hit = (rng.random(codes.shape, np.float32) < bers[:, None, None]) & (bits > bit)
            found ^= (hit << bit).astype(np.uint8)
        return found

    def received(self, codes: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What stands for the codes, float32 (N, blocks, K); 0 of a coefficient without bits."""
        centres = self._tables[2]
        count = np.arange(codes.shape[-1])
        return np.asarray(centres[levels[..., None], count, codes], np.float32)

    def packed(self, codes: NDArray[np.uint8], levels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Bytes of each level from 1 on, uint8 (N, blocks, bits / 8); 0 of blocks of another level."""
        found = []
        for level, given in enumerate(self.closed.bits, 1):
            bits = [
                codes[..., which, None] >> np.arange(count - 1, -1, -1) & 1
                for which, count in enumerate(given.tolist())
                if count
            ]
            sent = np.packbits(np.concatenate(bits, axis=-1).astype(np.uint8), axis=-1)
            found.append(np.where((levels == level)[..., None], sent, 0).astype(np.uint8))
        return found


def background(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of each channel in sixteenths of its range, uint8 (N, C)."""
    return select.background(np.bitwise_xor(images, np.uint8(0x80)).view(np.int8))


def importance_of(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -500, 500))))
