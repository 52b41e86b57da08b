"""The channel that each image of a batch meets: its quality, what is known of it, the encoder's state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from semflash.codecs.layers.symbol_channel import SnrRange
from semflash.codecs.tosc.sizes import STATES, ToscSizes

#: A factor's natural logarithm as decibels.
DECIBELS = 10.0 / math.log(10.0)


@dataclass(frozen=True)
class ChannelDraw:
    """Draws for a batch.

    Attributes:
        sizes: Of the codec: kind and range of the quality.
        estimate_noise: sigma of the log-normal factor between the quality and what is known of it, once for
            the
            decoder and once for the state, which was chosen earlier; 0: the truth.
    """

    sizes: ToscSizes
    estimate_noise: float = 0.0

    def __call__(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``quality``, ``told`` and ``state``, each float32 (count, 1)."""
        if self.sizes.channel == "symbols":
            quality = SnrRange(self.sizes.snr_low, self.sizes.snr_high).sample(count, rng)
        else:
            quality = self.sizes.ber.sample(count, rng)
        told = self._estimated(quality, rng)
        return {"quality": quality, "told": told, "state": self.state_of(self._estimated(quality, rng))}

    def state_of(self, quality: np.ndarray) -> np.ndarray:
        """The class of each quality, float32 of the same shape."""
        above = np.searchsorted(np.asarray(self.sizes.state_levels, np.float32), quality, side="right")
        return np.clip(above - 1, 0, STATES - 1).astype(np.float32)

    def _estimated(self, quality: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self.estimate_noise:
            return quality
        if self.sizes.channel == "bits":
            return self.sizes.ber.tell(quality, self.estimate_noise, rng)
        error = DECIBELS * self.estimate_noise * rng.standard_normal(quality.shape)
        return (quality + error).astype(np.float32)
