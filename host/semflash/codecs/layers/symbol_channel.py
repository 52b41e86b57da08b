"""Channels for complex symbols as training sees them: white noise and Rayleigh block fading, differentiable.

Noise comes from outside as standard normal numbers, so that one seeded numpy generator decides a training run
on every backend. The numpy twins are :mod:`semflash.channels.awgn` and :mod:`semflash.channels.rayleigh`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops


@dataclass(frozen=True)
class SnrRange:
    """Signal-to-noise ratios that a codec is trained for, uniform in dB.

    Attributes:
        low_db: The lowest ratio.
        high_db: The highest ratio.
    """

    low_db: float = -6.0
    high_db: float = 18.0

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """A ratio for each image in dB, float32 (count, 1)."""
        return rng.uniform(self.low_db, self.high_db, (count, 1)).astype(np.float32)


class AwgnChannel(keras.layers.Layer):
    """Adds white Gaussian noise to symbols of mean power 1."""

    def call(self, symbols: Any, snr_db: Any, noise: Any) -> Any:
        """The symbols as they arrive, float (B, S, 2).

        Args:
            symbols: The I and Q parts, float (B, S, 2), of mean power E(I^2 + Q^2) = 1.
            snr_db: The ratio per complex symbol, float (B, 1).
            noise: Standard normal numbers, float (B, S, 2).
        """
        return symbols + _spread(snr_db) * noise


class RayleighChannel(keras.layers.Layer):
    """Rayleigh block fading with a receiver that knows the gains and divides by them.

    Args:
        block: How many symbols share a gain; 0: all symbols of an image do.
    """

    def __init__(self, block: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = block

    def call(self, symbols: Any, snr_db: Any, noise: Any, fading: Any) -> Any:
        """The equalised symbols, float (B, S, 2).

        Args:
            symbols: The I and Q parts, float (B, S, 2), of mean power 1.
            snr_db: The mean ratio per complex symbol, float (B, 1).
            noise: Standard normal numbers, float (B, S, 2).
            fading: Standard normal numbers, float (B, blocks, 2), the parts of each gain times sqrt(2).
        """
        length = symbols.shape[1]
        gains = ops.repeat(fading * 0.5**0.5, self.block or length, axis=1)[:, :length]
        # y / h = x + n / h; the phase of h turns n, whose distribution stays, so n / |h| stands for n / h.
        size = ops.sqrt(ops.sum(ops.square(gains), axis=-1, keepdims=True))
        return symbols + _spread(snr_db) * noise / ops.maximum(size, 1e-6)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "block": self.block}


def gaussian(uniform: Any) -> Any:
    """Pairs of standard normal numbers (..., 2) of pairs that are uniform in [0, 1) (Box and Muller 1958)."""
    radius = ops.sqrt(-2.0 * ops.log(1.0 - uniform[..., 0]))
    angle = 2.0 * math.pi * uniform[..., 1]
    return ops.stack([radius * ops.cos(angle), radius * ops.sin(angle)], axis=-1)


def _spread(snr_db: Any) -> Any:
    """The standard deviation of each part of the noise, float (B, 1, 1)."""
    return ops.sqrt(0.5 * ops.power(10.0, -ops.reshape(snr_db, (-1, 1, 1)) / 10.0))
