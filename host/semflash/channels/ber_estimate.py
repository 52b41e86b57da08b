"""The receiver's running estimate of the bit error rate, from pilots alone.

Model: every pilot bit is wrong with probability p (binary symmetric channel); prior Beta(1/2, 1/2)
(Jeffreys), so after k wrong of n bits the posterior is Beta(k + 1/2, n - k + 1/2). The estimate is its
mean, the interval its central 95 %; both are exact for the model, for k = 0 and small n too (Brown, Cai,
DasGupta, "Interval Estimation for a Binomial Proportion", 2001, section 4). Old bits are forgotten: with a
window of W bits, one that was seen n bits ago weighs w = exp(-n / W). A weighted share of n bits varies like
one of n' = (sum w)^2 / (sum w^2) whole bits (Kish's effective sample size, about 2 W in the end), so k and n
are scaled to n' before they enter the posterior: the interval is right to first order, exact before anything
is forgotten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from semflash.channels.beta_interval import beta_quantile
from semflash.errors import UsageError

#: After so many bits (256 frames of 4 pilot bytes) a bit weighs 1/e.
WINDOW_BITS = 8192
WINDOW_MIN, WINDOW_MAX = 32, 1 << 30
_PRIOR = 0.5


@dataclass(frozen=True)
class BerEstimate:
    """A bit error rate, 0..1, with its central 95 % interval, from `bits` (effective) pilot bits.

    The interval takes about a millisecond, and is computed when somebody asks for it.

    Attributes:
        wrong: First parameter of the posterior, a Beta distribution.
        right: Its second parameter.
    """

    wrong: float
    right: float

    @property
    def value(self) -> float:
        """The mean of the posterior."""
        return self.wrong / (self.wrong + self.right)

    @property
    def bits(self) -> float:
        """Pilot bits that the posterior stands for."""
        return self.wrong + self.right - 2.0 * _PRIOR

    @cached_property
    def low(self) -> float:
        """Lower end of the interval."""
        return beta_quantile(0.025, self.wrong, self.right)

    @cached_property
    def high(self) -> float:
        """Upper end of the interval."""
        return beta_quantile(0.975, self.wrong, self.right)

    def as_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "bits": self.bits}


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
        self._counts = (0.0, 0.0, 0.0)  # sums of w over wrong bits, of w over all bits, of w^2 over all bits

    def add(self, errors: int, bits: int) -> None:
        """The pilots of one frame: `errors` wrong of `bits`."""
        if bits > 0:
            keep = math.exp(-bits / self._window)
            wrong, seen, squares = self._counts
            self._counts = (wrong * keep + errors, seen * keep + bits, squares * keep * keep + bits)

    def _posterior(self) -> tuple[float, float] | None:
        """The parameters of the Beta distribution; None before the first pilot."""
        wrong, seen, squares = self._counts
        if not seen:
            return None
        scale = seen / squares
        return wrong * scale + _PRIOR, (seen - wrong) * scale + _PRIOR

    @property
    def value(self) -> float | None:
        """Mean of the posterior, 0..1; None before the first pilot."""
        found = self._posterior()
        return None if found is None else found[0] / sum(found)

    @property
    def decoder_value(self) -> float | None:
        """`value` within 0..0.5, which is what a decoder takes."""
        value = self.value
        return None if value is None else min(value, 0.5)

    def estimate(self) -> BerEstimate | None:
        """With interval; None before the first pilot."""
        found = self._posterior()
        return None if found is None else BerEstimate(*found)
