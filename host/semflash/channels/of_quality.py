"""From a kind of quality to the channel that makes it: damage to payloads, and the estimate from pilots.

BER: every payload bit flips on its own. SNR: the bits travel as QPSK symbols through white noise and are
decided one by one. Both are injected and seeded; a level that is :attr:`clean` damages nothing.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.channels.awgn import add_noise, noise_power
from semflash.channels.ber_estimate import WINDOW_BITS, BerEstimate, BerEstimator
from semflash.channels.bits import channel_rng, check_rates, flip_bits
from semflash.channels.modulation import demodulate, modulate
from semflash.channels.rayleigh import to_complex
from semflash.channels.snr_estimate import SnrEstimate, SnrEstimator
from semflash.errors import UsageError
from semflash.program.quality import Ber, Quality, Snr

Payloads = NDArray[np.uint8]
#: Bits of a QPSK symbol.
_SYMBOL_BITS = 2
_PILOTS = 1


@dataclass(frozen=True)
class Estimate:
    """A ratio with its central 95 % interval, which is computed when somebody asks for it."""

    ratio: SnrEstimate

    @property
    def value(self) -> float:
        """The level."""
        return self.ratio.value_db

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.ratio.low_db

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.ratio.high_db

    def as_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


class LevelEstimator(abc.ABC):
    """The running estimate of a link's quality from the pilots of its frames."""

    @abc.abstractmethod
    def add(self, errors: bytes, level: float, rng: np.random.Generator) -> int:
        """Take the pilots of one frame, on top of which the channel of a level is injected.

        Args:
            errors: Pilots XOR what they should be, as the link delivered them; empty: there are none.
            level: What is injected.
            rng: Decides the injected damage.

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


class QualityChannel(abc.ABC):
    """What makes a channel of some level."""

    @abc.abstractmethod
    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Levels float64 (count,), of one number or of one per payload.

        Raises:
            UsageError: One out of range, or another number of them.
        """

    @abc.abstractmethod
    def damage(self, payloads: Payloads, levels: ArrayLike, rng: np.random.Generator) -> Payloads:
        """Payloads uint8 (N, P) as they arrive, at one level or one per payload. UsageError: see `check`."""

    @abc.abstractmethod
    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """The generator of the injected damage: depends on seed and level (and further numbers) only."""

    @abc.abstractmethod
    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """A new estimate from pilots. ``window``: after so many bits one weighs 1/e. UsageError: too few."""

    def pilot_rng(self, seed: int, level: float, index: int) -> np.random.Generator:
        """The generator of the damage to the pilots of image ``index``."""
        return self.rng(seed, level, index, _PILOTS)


class BitErrors(QualityChannel):
    """The binary symmetric channel; a level is a bit error rate."""

    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Rates of 0 to 0.5."""
        return check_rates(levels, count)

    def damage(self, payloads: Payloads, levels: ArrayLike, rng: np.random.Generator) -> Payloads:
        """Every bit flips on its own."""
        return flip_bits(payloads, levels, rng)

    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """As :func:`semflash.channels.bits.channel_rng` where there is no further number."""
        if not more:
            return channel_rng(seed, level)
        return np.random.default_rng([seed, round(level * 2**40), *more])

    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """From wrong pilot bits."""
        return BitErrorEstimator(window)


class BitErrorEstimator(LevelEstimator):
    """:class:`BerEstimator`, with errors injected into the pilots at the payload's rate."""

    def __init__(self, window: float) -> None:
        self._estimator = BerEstimator(window)

    def add(self, errors: bytes, level: float, rng: np.random.Generator) -> int:
        """Count wrong bits."""
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


class SymbolNoise(QualityChannel):
    """White noise on QPSK symbols; a level is the SNR of a complex symbol in dB, 100 dB no noise at all."""

    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Ratios of -100 to 100 dB."""
        ratios = np.asarray(levels, np.float64).ravel()
        if len(ratios) not in (1, count):
            raise UsageError("one SNR, or one per payload", value=f"{len(ratios)} for {count} payloads")
        noise_power(ratios)
        return np.broadcast_to(ratios, (count,))

    def damage(self, payloads: Payloads, levels: ArrayLike, rng: np.random.Generator) -> Payloads:
        """Modulate, add noise, decide."""
        ratios = self.check(levels, len(payloads))
        noisy = demodulate(add_noise(modulate(payloads), ratios, rng))
        return np.where((ratios >= Snr.clean)[:, None], payloads, noisy)

    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """From the seed and the ratio in steps of 2^-32 dB, counted from -100 dB."""
        return np.random.default_rng([seed, round((level + 100.0) * 2**32), *more])

    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """From pilot symbols."""
        return SymbolNoiseEstimator(window)


class SymbolNoiseEstimator(LevelEstimator):
    """:class:`SnrEstimator` over the pilots as QPSK symbols.

    A serial line delivers bits and no symbols: what it did to the pilots arrives as symbols at a wrong place
    without noise, and the injected noise comes on top.
    """

    def __init__(self, window: float) -> None:
        self._estimator = SnrEstimator(window / _SYMBOL_BITS)

    def add(self, errors: bytes, level: float, rng: np.random.Generator) -> int:
        """Compare symbols; wrong bits are those that a decision would give."""
        if not errors:
            return 0
        arrived = modulate(np.frombuffer(errors, np.uint8)[None])
        sent = modulate(np.zeros((1, len(errors)), np.uint8))
        noisy = arrived if level >= Snr.clean else add_noise(arrived, level, rng)
        self._estimator.add(to_complex(noisy[0]), to_complex(sent[0]))
        return int(np.bitwise_count(demodulate(noisy)).sum())

    @property
    def value(self) -> float | None:
        """The ratio, at most 100 dB."""
        return self._estimator.value_db

    def estimate(self) -> Estimate | None:
        """With its interval."""
        found = self._estimator.estimate()
        return None if found is None else Estimate(found)


def channel_of(quality: Quality) -> QualityChannel:
    """The channel that makes a kind of quality."""
    match quality:
        case Ber():
            return BitErrors()
        case Snr():
            return SymbolNoise()
