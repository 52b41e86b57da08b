"""The receiver's running estimate of the bit error rate, from pilots alone.

Model: every pilot bit is wrong with probability p (binary symmetric channel); prior Beta(1/2, 1/2)
(Jeffreys), so after k wrong of n bits the posterior is Beta(k + 1/2, n - k + 1/2). The estimate is its
mean, the interval its central 95 %; both are exact for the model, for k = 0 and small n too (Brown, Cai,
DasGupta, "Interval Estimation for a Binomial Proportion", 2001, section 4). Old bits are forgotten: with a
window of W bits, one that was seen n bits ago weighs exp(-n / W), so at most about W bits count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from semflash.bridge.beta_interval import beta_quantile
from semflash.errors import UsageError

#: Pilot bits that count, about 256 frames of 4 pilot bytes.
WINDOW_BITS = 8192
WINDOW_MIN, WINDOW_MAX = 32, 1 << 30
_PRIOR = 0.5


@dataclass(frozen=True)
class BerEstimate:
    """A bit error rate, 0..1, with its central 95 % interval, from `bits` (weighted) pilot bits."""

    value: float
    low: float
    high: float
    bits: float


class BerEstimator:
    """Running estimate.

    >>> estimator = BerEstimator(window_bits=10_000)
    >>> estimator.value is None
    True
    >>> for _ in range(100):
    ...     estimator.add(errors=1, bits=32)
    >>> round(estimator.value, 3)
    0.031
    """

    def __init__(self, window_bits: float = WINDOW_BITS) -> None:
        if not WINDOW_MIN <= window_bits <= WINDOW_MAX:
            raise UsageError(
                f"the window of the BER estimate is {WINDOW_MIN} to {WINDOW_MAX:,} bits", value=window_bits
            )
        self._window = window_bits
        self._counts = (0.0, 0.0)

    def add(self, errors: int, bits: int) -> None:
        """The pilots of one frame: `errors` wrong of `bits`."""
        if bits > 0:
            keep = math.exp(-bits / self._window)
            wrong, seen = self._counts
            self._counts = (wrong * keep + errors, seen * keep + bits)

    @property
    def value(self) -> float | None:
        """Mean of the posterior, 0..1; None before the first pilot."""
        wrong, seen = self._counts
        return (wrong + _PRIOR) / (seen + 2 * _PRIOR) if seen else None

    @property
    def decoder_value(self) -> float | None:
        """`value` within 0..0.5, which is what a decoder takes."""
        value = self.value
        return None if value is None else min(value, 0.5)

    def estimate(self) -> BerEstimate | None:
        """With interval; None before the first pilot. Costs about a millisecond."""
        wrong, seen = self._counts
        if not seen:
            return None
        a, b = wrong + _PRIOR, seen - wrong + _PRIOR
        return BerEstimate(a / (a + b), beta_quantile(0.025, a, b), beta_quantile(0.975, a, b), seen)
