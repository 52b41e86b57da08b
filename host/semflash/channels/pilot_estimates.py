"""The running estimate of a link's quality, from the pilots of its frames and what is injected into them."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np

from semflash.channels.awgn import add_noise
from semflash.channels.ber_estimate import BerEstimate, BerEstimator
from semflash.channels.bits import flip_bits
from semflash.channels.modulation import demodulate, modulate
from semflash.channels.rayleigh import to_complex, to_pairs
from semflash.channels.snr_estimate import SnrEstimator
from semflash.program.quality import Snr

#: Bits of a QPSK symbol.
_SYMBOL_BITS = 2


@dataclass(frozen=True)
class Estimate:
    """A level with its central 95 % interval; ``low`` is the smaller number."""

    value: float
    low: float
    high: float


class LevelEstimator(abc.ABC):
    """The running estimate of a link's quality from the pilots of its frames."""

    @abc.abstractmethod
    def add(self, errors: bytes, level: float, rng: np.random.Generator, gain: complex = 1.0) -> int:
        """Take the pilots of one frame, on top of which the channel of a level is injected.

        Args:
            errors: Pilots XOR what they should be, as the link delivered them; empty: there are none.
            level: What is injected.
            rng: Decides the injected damage.
            gain: That of the image's first symbols, over a channel that fades.

        Returns:
            How many pilot bits are wrong.
        """

    @property
    @abc.abstractmethod
    def value(self) -> float | None:
        """The level now; None before the first pilot."""

    @abc.abstractmethod
    def estimate(self) -> Estimate | BerEstimate | None:
        """The level with its interval; None before the first pilot."""


class BitErrorEstimator(LevelEstimator):
    """:class:`BerEstimator`, with errors injected into the pilots at the payload's rate."""

    def __init__(self, window: float) -> None:
        self._estimator = BerEstimator(window)

    def add(self, errors: bytes, level: float, rng: np.random.Generator, gain: complex = 1.0) -> int:
        """Count wrong bits."""
        del gain
        wrong = 0
        if errors:
            noisy = flip_bits(np.frombuffer(errors, np.uint8)[None], level, rng)
            wrong = int(np.bitwise_count(noisy).sum())
        self._estimator.add(wrong, 8 * len(errors))
        return wrong

    @property
    def value(self) -> float | None:
        """Mean of the posterior, within 0..0.5."""
        return self._estimator.decoder_value

    def estimate(self) -> BerEstimate | None:
        """With its interval."""
        return self._estimator.estimate()


class SymbolNoiseEstimator(LevelEstimator):
    """:class:`SnrEstimator` over the pilots as QPSK symbols.

    A serial line delivers bits and no symbols: what it did to the pilots arrives as symbols at a wrong place
    without noise, and the injected noise comes on top.
    """

    def __init__(self, window: float, *, fading: bool = False) -> None:
        self._estimator = SnrEstimator(window / _SYMBOL_BITS, fading=fading)

    def add(self, errors: bytes, level: float, rng: np.random.Generator, gain: complex = 1.0) -> int:
        """Compare symbols; wrong bits are those that a decision after division by the gain would give."""
        if not errors:
            return 0
        arrived = modulate(np.frombuffer(errors, np.uint8)[None])
        if gain != 1.0:
            arrived = to_pairs(gain * to_complex(arrived))
        sent = modulate(np.zeros((1, len(errors)), np.uint8))
        noisy = arrived if level >= Snr.clean else add_noise(arrived, level, rng)
        self._estimator.add(to_complex(noisy[0]), to_complex(sent[0]))
        if gain != 1.0:
            noisy = to_pairs(to_complex(noisy) / gain)
        return int(np.bitwise_count(demodulate(noisy)).sum())

    @property
    def value(self) -> float | None:
        """The ratio, at most 100 dB."""
        return self._estimator.value_db

    def estimate(self) -> Estimate | None:
        """With its interval."""
        found = self._estimator.estimate()
        return None if found is None else Estimate(found.value_db, found.low_db, found.high_db)
