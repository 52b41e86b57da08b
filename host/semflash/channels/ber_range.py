"""Bit error rates that a codec is trained for: a distribution to draw from. Needs numpy alone, so that
recipes can be looked at before a training package is imported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BerRange:
    """Bit error rates a codec is trained for: a share of images at exactly 0, the rest log-uniform.

    Attributes:
        low, high: ends of the log-uniform part, 0 < low < high <= 0.5.
        clean_share: share of images with BER 0, 0..1.
    """

    low: float = 1e-4
    high: float = 6e-2
    clean_share: float = 0.25

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """BER per image, float32 (count, 1)."""
        ber = np.exp(rng.uniform(np.log(self.low), np.log(self.high), count))
        ber[rng.random(count) < self.clean_share] = 0.0
        return ber.astype(np.float32)[:, None]

    def tell(self, ber: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
        """What a receiver that estimates the BER would be told, float32 (count, 1), 0..0.5.

        A log-normal factor (median 1, ``sigma`` of its logarithm) stands on every BER. Half of the images at
        BER 0 are told 0, the other half a small number around ``low``, for an estimate never is quite 0.

        Args:
            ber: the truth, float32 (count, 1).
        """
        factor = np.exp(sigma * rng.standard_normal(ber.shape))
        floored = (ber == 0) & (rng.random(ber.shape) < 0.5)
        return np.minimum(np.where(floored, self.low, ber) * factor, 0.5).astype(np.float32)
