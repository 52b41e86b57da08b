"""Reconstructions for the tail to learn from: every way to spend bits that is compared, at random rates."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from semflash.codecs.multires.coded import joined
from semflash.codecs.multires.selecting import attention_weights, contrast, levels_of
from semflash.data.dataset import Split
from semflash.program.reference.patches import cut

#: Share of the images that are shown whole, that have one resolution, and that have levels by: attention,
#: attention times
#: variance, variance alone, chance.
SHARES = {
    "whole": 0.1,
    "single": 0.25,
    "attention": 0.2,
    "attention-variance": 0.25,
    "variance": 0.1,
    "chance": 0.1,
}
BATCH = 500
#: A weight of chance is the third power of an even draw.
CHANCE_STEPS, CHANCE_POWER = 4096, 3
#: Rates are drawn as the exponent of 2.
LEAST_RATE = 32


class Pictures:
    """What arrives of training images.

    Args:
        codec: :class:`semflash.codecs.multires.codec.Multires`; its student is asked once, its coders each
            time.
        train: The images.
    """

    def __init__(self, codec: Any, train: Split) -> None:
        self.codec, self.train = codec, train

    @cached_property
    def scores(self) -> np.ndarray:
        """Of the student, float32 (N, patches)."""
        images = self.train.images
        parts = [
            self.codec.scores(np.asarray(images[start : start + BATCH]))
            for start in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts)

    def of(self, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Pictures uint8 (n, H, W, C) of the training images with these numbers."""
        images, kinds = np.asarray(self.train.images[chosen]), list(SHARES)
        drawn = rng.choice(len(kinds), len(chosen), p=list(SHARES.values()))
        found = images.copy()
        self._single(found, images, np.flatnonzero(drawn == kinds.index("single")), rng)
        ranked, weights = [], []
        for which, kind in enumerate(kinds):
            here = np.flatnonzero(drawn == which)
            if kind not in ("whole", "single") and len(here):
                ranked.append(here)
                weights.append(self._weights(kind, images[here], chosen[here], rng))
        if ranked:  # selected at once: that takes hardly longer for many images than for one
            these = np.concatenate(ranked)
            found[these] = self._selected(images[these], np.concatenate(weights), rng)
        return found

    def _single(
        self, found: np.ndarray, images: np.ndarray, here: np.ndarray, rng: np.random.Generator
    ) -> None:
        sizes = self.codec.sizes
        drawn = rng.integers(len(sizes.coder_bits), size=len(here))
        for which, bits in enumerate(sizes.coder_bits):
            these = here[drawn == which]
            if len(these):
                patches = cut(images[these], sizes.patch).astype(np.float32) / np.float32(255)
                coded = self.codec.coded[bits](patches)
                found[these] = _pixels(joined(coded, sizes.image_shape, sizes.patch))

    def _selected(self, images: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sizes = self.codec.sizes
        low, high = np.log2(max(LEAST_RATE, sizes.rate_low)), np.log2(sizes.rate_high)
        rates = np.exp2(rng.uniform(low, high, len(images))).astype(np.int64)
        levels = levels_of(weights, sizes, self.codec.distortion, rates)
        return _pixels(self.codec.pictures(images, levels))

    def _weights(
        self, kind: str, images: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        sizes = self.codec.sizes
        match kind:
            case "attention":
                return attention_weights(self.scores[chosen], sizes.sharpness)
            case "attention-variance":
                attention = attention_weights(self.scores[chosen], sizes.sharpness)
                return attention * contrast(images, sizes.patch)
            case "variance":
                return contrast(images, sizes.patch)
            case _:
                return chance_weights(len(images), sizes.patches, rng)


def chance_weights(images: int, patches: int, rng: np.random.Generator) -> np.ndarray:
    """Weights that know nothing of the image, int64 (images, patches)."""
    drawn = rng.random((images, patches)) ** CHANCE_POWER
    return np.asarray(1 + CHANCE_STEPS * drawn, np.int64)


def _pixels(pictures: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(pictures * 255), np.uint8)
