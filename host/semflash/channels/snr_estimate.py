"""The receiver's running estimate of the signal-to-noise ratio, from pilot symbols alone.

Model: a pilot x (power 1) arrives as y = h x + n. Over a channel that does not fade, h = 1 and each pilot
gives two Gaussian numbers of the noise; over one that fades, h is the same for the pilots of one message, is
estimated by least squares (h = sum y x* / sum |x|^2) and takes two of the 2n numbers with it. The squares of
the remaining numbers add up to noise power times a chi-square variable, so the noise power has an inverse
gamma posterior (prior: Jeffreys' 1 / power); over a channel that does not fade the interval is exact for the
model, over one that fades it leaves out the spread of the gains. Old pilots are forgotten as in
:mod:`semflash.channels.ber_estimate`: after ``window`` newer ones a pilot weighs 1/e.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semflash.channels.gamma_interval import gamma_quantile
from semflash.errors import UsageError

#: After so many pilot symbols one weighs 1/e.
WINDOW_SYMBOLS = 1024
WINDOW_MIN, WINDOW_MAX = 8, 1 << 30
#: The ratio of pilots without any noise, dB.
NOISELESS_DB = 100.0


@dataclass(frozen=True)
class SnrEstimate:
    """A mean ratio in dB with its central 95 % interval, from so many (effective) real numbers of noise.

    The interval takes about a millisecond, and is computed when somebody asks for it.

    Attributes:
        signal: Mean power of the signal that arrives.
        squares: Sum of the squares of those numbers.
    """

    value_db: float
    numbers: float
    signal: float
    squares: float

    @cached_property
    def low_db(self) -> float:
        """Lower end of the interval."""
        return self._end(0.025)

    @cached_property
    def high_db(self) -> float:
        """Upper end of the interval."""
        return self._end(0.975)

    def _end(self, share: float) -> float:
        return _ratio_db(self.signal, self.squares / gamma_quantile(share, self.numbers / 2.0))


class SnrEstimator:
    """A running estimate of the mean SNR over pilot symbols of power 1.

    >>> estimator = SnrEstimator()
    >>> estimator.value_db is None
    True
    >>> pilots = np.array([1.0, -1.0, 1j, -1j] * 8)
    >>> gain = estimator.add(pilots + 0.1, pilots)
    >>> round(estimator.value_db)
    20

    Args:
        window: After so many pilot symbols one weighs 1/e.
        fading: Whether each message has a gain of its own, that its pilots have to tell as well.
    """

    def __init__(self, window: float = WINDOW_SYMBOLS, *, fading: bool = False) -> None:
        if not WINDOW_MIN <= window <= WINDOW_MAX:
            raise UsageError(
                f"the window of the SNR estimate is {WINDOW_MIN} to {WINDOW_MAX:,} symbols", value=window
            )
        self._window = window
        self._fading = fading
        # Sums over pilots: w times the squares of the noise, w and w^2 times how many numbers these are.
        # Sums over messages: w times |h|^2, w times the share of the noise in the estimate of h, and w.
        self._sums = np.zeros(6)

    def add(self, received: NDArray[np.complexfloating], sent: NDArray[np.complexfloating]) -> complex:
        """Take the pilots of one message in; returns the gain they met (1 where the channel does not fade).

        Args:
            received: The pilots as they came, complex (n,).
            sent: The same as they were sent, complex (n,), of mean power 1.

        Raises:
            UsageError: Other shapes, or too few pilots: one, or two where a gain is estimated as well.
        """
        least = 2 if self._fading else 1
        if received.shape != sent.shape or received.ndim != 1 or len(sent) < least:
            shapes = f"{received.shape} and {sent.shape}"
            raise UsageError(f"pilots are two arrays of {least} symbols or more", value=shapes)
        energy = float(np.vdot(sent, sent).real)
        gain = complex(np.vdot(sent, received) / energy) if self._fading else 1.0 + 0.0j
        noise = float(np.sum(np.abs(received - gain * sent) ** 2))
        numbers = 2.0 * (len(sent) - (1 if self._fading else 0))
        keep = math.exp(-len(sent) / self._window)
        decay = np.array([keep, keep, keep * keep, keep, keep, keep])
        new = np.array([noise, numbers, numbers, abs(gain) ** 2, 1.0 / energy, 1.0])
        self._sums = self._sums * decay + new
        return gain

    @property
    def noise_power(self) -> float | None:
        """The noise variance of a complex symbol; None before the first pilot."""
        squares, numbers = self._sums[:2]
        return None if not numbers else 2.0 * float(squares) / float(numbers)

    @property
    def value_db(self) -> float | None:
        """The mean ratio, at most 100 dB; None before the first pilot."""
        noise = self.noise_power
        return None if noise is None else _ratio_db(self._signal(), noise)

    def estimate(self) -> SnrEstimate | None:
        """The estimate with its interval; None before the first pilot."""
        value = self.value_db
        if value is None:
            return None
        squares, numbers, weights = (float(part) for part in self._sums[:3])
        effective = numbers * numbers / weights
        return SnrEstimate(value, effective, self._signal(), squares * effective / numbers)

    def _signal(self) -> float:
        """The mean power of the signal that arrives: 1, or that of the gains without their own noise."""
        if not self._fading:
            return 1.0
        gains, shares, messages = (float(part) for part in self._sums[3:])
        return max(gains - shares * (self.noise_power or 0.0), 0.0) / messages


def _ratio_db(signal: float, noise: float) -> float:
    if signal <= noise * 10.0 ** (-NOISELESS_DB / 10.0):
        return -NOISELESS_DB
    return min(10.0 * math.log10(signal / noise), NOISELESS_DB) if noise > 0.0 else NOISELESS_DB
