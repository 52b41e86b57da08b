"""Accuracy of a float codec of TOSC over a channel, image by image.

Every codec meets the same noise at a level, drawn from the level alone, so that two codecs can be compared
image by image. The codec's own measuring (:mod:`semflash.codecs.tosc.measuring`) serves its training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from experiments.tosc.results import Row, pack
from semflash.codecs.tosc.drawing import ChannelDraw
from semflash.codecs.tosc.measuring import Measure
from semflash.codecs.tosc.sizes import STATES
from semflash.data.dataset import Split

BATCH = 2_500
_NOISE_STREAM = 13


@dataclass(frozen=True)
class Condition:
    """What the codec meets and what it is told; fields as of :class:`experiments.tosc.results.Row`."""

    level: float
    told_error: float = 0.0
    state_error: int = 0
    decoder_error: int = 0


class Measured:
    """A codec on one split: what the encoder's graph gives is computed once.

    Args:
        codec: :class:`semflash.codecs.tosc.codec.Tosc`.
        split: images and labels. name: of the split.
        repeats: noise realisations that each image meets.
    """

    def __init__(self, codec: Any, split: Split, name: str, repeats: int) -> None:
        self.codec, self.split, self.name, self.repeats = codec, split, name, repeats
        self.own = Measure(codec, split)
        self.maps = self.own.maps()
        self.draw = ChannelDraw(codec.sizes)

    @property
    def channel(self) -> str:
        """As rows name it."""
        if self.codec.sizes.channel == "bits":
            return "bsc"
        return "awgn" if self.codec.sizes.fading == "none" else "rayleigh"

    def row(self, condition: Condition, *, kept: np.ndarray | None = None, with_images: bool = False) -> Row:
        """Measure one condition.

        Args:
            kept: which values are sent, bool (h, w, C); the decoder gets 0 for the others. None: all.
            with_images: keep what was right of every image.
        """
        counts = self.counts(condition, kept)
        return Row(
            split=self.name,
            channel=self.channel,
            level=condition.level,
            accuracy=float(counts.sum()) / (len(counts) * self.repeats),
            images=len(counts),
            repeats=self.repeats,
            told_error=condition.told_error,
            state_error=condition.state_error,
            decoder_error=condition.decoder_error,
            kept=0 if kept is None else int(kept.sum()),
            right=pack(counts) if with_images else "",
        )

    def counts(self, condition: Condition, kept: np.ndarray | None = None) -> np.ndarray:
        """Realisations in which each image was right, uint8 (N,)."""
        rng = noise_rng(condition.level)
        found = np.zeros(len(self.split), np.uint8)
        for _ in range(self.repeats):
            noise = rng.random((len(found), *self.codec.noise_shape()), dtype=np.float32)
            for start in range(0, len(found), BATCH):
                part = slice(start, start + BATCH)
                logits = self.logits(self.maps[part], noise[part], condition, kept)
                found[part] += logits.argmax(-1) == self.split.labels[part]
        return found

    def logits(
        self, maps: np.ndarray, noise: np.ndarray, condition: Condition, kept: np.ndarray | None = None
    ) -> np.ndarray:
        """Float32 (n, classes) of some images over the channel."""
        quality = np.full((len(maps), 1), condition.level, np.float32)
        told = quality + np.float32(condition.told_error)
        used = np.clip(self.draw.state_of(quality) + condition.state_error, 0, STATES - 1)
        decoder = np.clip(used + condition.decoder_error, 0, STATES - 1)
        values = self.codec.project(maps, used.astype(np.float32))
        received = self.codec.link.carry(values, quality, noise).received
        if kept is not None:
            received = received * kept.astype(np.float32)
        answered = self.codec.answer(received, told, decoder.astype(np.float32))
        return np.asarray(keras.ops.convert_to_numpy(answered))


def noise_rng(level: float) -> np.random.Generator:
    """The generator of the noise at a level: depends on the level alone."""
    return np.random.default_rng([_NOISE_STREAM, round(1e6 * (level + 100.0))])


def most_telling(nats: np.ndarray, count: int) -> np.ndarray:
    """The values with the largest divergence from their prior, bool of the shape of `nats`; the first of
    equals.

    >>> most_telling(np.array([0.1, 2.0, 0.1]), 2).tolist()
    [True, True, False]
    """
    rank = np.argsort(np.argsort(-nats, axis=None, kind="stable")).reshape(nats.shape)
    return np.asarray(rank < count)
