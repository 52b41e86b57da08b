"""From a kind of quality to the channel that makes it: damage to payloads, and the estimate from pilots.

BER: every payload bit flips on its own. SNR: payloads travel as symbols through white noise
(:mod:`semflash.channels.on_air`), and a channel may fade beside (:mod:`semflash.channels.rayleigh`). All is
injected and seeded; a level that is :attr:`clean` damages nothing.

Over a channel that fades, a level is the mean ratio. The receiver knows the gains and divides by them; what
decoders are told, what pilots tell and what a device's controls follow is the mean ratio all the same, since
codecs are trained on it and no device can know the gain of an image that it has not sent yet.
"""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.channels.awgn import add_noise, noise_power
from semflash.channels.ber_estimate import WINDOW_BITS
from semflash.channels.bits import channel_rng, check_rates, flip_bits
from semflash.channels.fading import NO_FADING, Fading
from semflash.channels.modulation import demodulate, modulate
from semflash.channels.on_air import from_symbols, has_symbols, stretches, to_symbols
from semflash.channels.pilot_estimates import BitErrorEstimator, LevelEstimator, SymbolNoiseEstimator
from semflash.channels.rayleigh import fade, to_complex
from semflash.errors import UsageError
from semflash.program.program import Program
from semflash.program.quality import Ber, Quality, Snr

Payloads = NDArray[np.uint8]
_PILOTS = 1


class QualityChannel(abc.ABC):
    """What makes a channel of some level."""

    @abc.abstractmethod
    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Levels float64 (count,), of one number or of one per payload.

        Raises:
            UsageError: One out of range, or another number of them.
        """

    @abc.abstractmethod
    def damage(
        self,
        payloads: Payloads,
        levels: ArrayLike,
        rng: np.random.Generator,
        bits: NDArray[np.int64] | None = None,
    ) -> Payloads:
        """Payloads as they arrive.

        Args:
            payloads: uint8 (N, P).
            levels: One level, or one per payload.
            rng: Decides the damage.
            bits: int64 (N,), the length of each payload where they differ; None: all of P bytes.

        Raises:
            UsageError: See :meth:`check`.
        """

    @abc.abstractmethod
    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """The generator of the injected damage: depends on seed and level (and further numbers) only."""

    @abc.abstractmethod
    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """A new estimate from pilots. ``window``: after so many bits one weighs 1/e. UsageError: too few."""

    def gain(self, seed: int, level: float, index: int) -> complex:
        """The gain that the first symbols of image ``index`` meet when it is damaged with this generator."""
        del seed, level, index
        return 1.0

    def pilot_rng(self, seed: int, level: float, index: int) -> np.random.Generator:
        """The generator of the damage to the pilots of image ``index``."""
        return self.rng(seed, level, index, _PILOTS)


class BitErrors(QualityChannel):
    """The binary symmetric channel; a level is a bit error rate."""

    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Rates of 0 to 0.5."""
        return check_rates(levels, count)

    def damage(
        self,
        payloads: Payloads,
        levels: ArrayLike,
        rng: np.random.Generator,
        bits: NDArray[np.int64] | None = None,
    ) -> Payloads:
        """Every bit flips on its own, those of int8 values, too."""
        del bits
        return flip_bits(payloads, levels, rng)

    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """As :func:`semflash.channels.bits.channel_rng` where there is no further number."""
        if not more:
            return channel_rng(seed, level)
        return np.random.default_rng([seed, round(level * 2**40), *more])

    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """From wrong pilot bits."""
        return BitErrorEstimator(window)


class SymbolNoise(QualityChannel):
    """White noise on symbols; a level is the mean SNR of a complex symbol in dB, 100 dB no noise at all.

    Args:
        program: Says which bytes of a payload are values that travel as what they are; None: none are.
        fading: What multiplies the symbols.
    """

    def __init__(self, program: Program | None = None, fading: Fading = NO_FADING) -> None:
        self._program = program if program is not None and has_symbols(program) else None
        self._fading = fading

    def check(self, levels: ArrayLike, count: int = 1) -> NDArray[np.float64]:
        """Ratios of -100 to 100 dB."""
        ratios = np.asarray(levels, np.float64).ravel()
        if len(ratios) not in (1, count):
            raise UsageError("one SNR, or one per payload", value=f"{len(ratios)} for {count} payloads")
        noise_power(ratios)
        return np.broadcast_to(ratios, (count,))

    def damage(
        self,
        payloads: Payloads,
        levels: ArrayLike,
        rng: np.random.Generator,
        bits: NDArray[np.int64] | None = None,
    ) -> Payloads:
        """Modulate, add noise, decide or sample."""
        ratios = self.check(levels, len(payloads))
        if self._program is None:
            noisy = demodulate(self._arrived(modulate(payloads), ratios, rng))
        else:
            noisy = self._by_regions(self._program, payloads, ratios, rng, bits)
        return np.where((ratios >= Snr.clean)[:, None], payloads, noisy)

    def _by_regions(
        self,
        program: Program,
        payloads: Payloads,
        ratios: NDArray[np.float64],
        rng: np.random.Generator,
        bits: NDArray[np.int64] | None,
    ) -> Payloads:
        """Payloads with regions of values, those that are made alike at a time."""
        noisy = payloads.copy()
        for images, parts in stretches(program, payloads, bits):
            sent = np.unpackbits(payloads[images], axis=1)
            arrived = self._arrived(to_symbols(sent, parts), ratios[images], rng)
            noisy[images] = np.packbits(from_symbols(arrived, parts, sent), axis=1)
        return noisy

    def _arrived(
        self, symbols: NDArray[np.float64], ratios: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Symbols (N, S, 2) as they arrive, divided by the gains where there are any."""
        if not self._fading or not symbols.shape[1]:
            return add_noise(symbols, ratios, rng)
        return fade(symbols, ratios, rng, block=self._fading.block).equalised

    def gain(self, seed: int, level: float, index: int) -> complex:
        """The first number that fading draws."""
        if not self._fading:
            return 1.0
        return complex(to_complex(self.rng(seed, level, index).standard_normal(2)) * np.sqrt(0.5))

    def rng(self, seed: int, level: float, *more: int) -> np.random.Generator:
        """From the seed and the ratio in steps of 2^-32 dB, counted from -100 dB."""
        return np.random.default_rng([seed, round((level + 100.0) * 2**32), *more])

    def estimator(self, window: float = WINDOW_BITS) -> LevelEstimator:
        """From pilot symbols; those of a frame meet one gain, and tell it, too, where the channel fades."""
        return SymbolNoiseEstimator(window, fading=bool(self._fading))


def channel_of(quality: Quality) -> QualityChannel:
    """The channel that makes a kind of quality for payloads of bits alone."""
    match quality:
        case Ber():
            return BitErrors()
        case Snr():
            return SymbolNoise()


def channel_for(program: Program, fading: Fading = NO_FADING) -> QualityChannel:
    """The channel that makes the program's kind of quality for its payloads.

    Raises:
        UsageError: Fading for a program that is told a bit error rate: flipped bits have no gain.
    """
    match program.quality:
        case Ber():
            if fading:
                raise UsageError(
                    "a channel of bit errors does not fade", value=str(fading), remedy="leave --fading out"
                )
            return BitErrors()
        case Snr():
            return SymbolNoise(program, fading)
