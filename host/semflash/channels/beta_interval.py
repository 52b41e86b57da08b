"""Quantiles of the Beta distribution, by the continued fraction of the incomplete beta function (no SciPy).

Source: Press et al., Numerical Recipes (3rd ed.), section 6.4; DLMF 8.17.22.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_EPSILON = 1e-14
_MAX_TERMS = 20_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b); a, b > 0.

    >>> round(beta_cdf(0.5, 2, 2), 12)
    0.5
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _fraction(1.0 - x, b, a) / b


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x with P(X <= x) = share, to about 1e-12 relative, by bisection on a logarithmic scale.

    >>> round(beta_quantile(0.975, 0.5, 100.5), 6)  # Jeffreys' upper limit for 0 errors in 100 bits
    0.024745
    """
    low, high = math.log(1e-18), 0.0
    for _ in range(100):
        middle = (low + high) / 2.0
        if beta_cdf(math.exp(middle), a, b) < share:
            low = middle
        else:
            high = middle
        if high - low < 1e-12:
            break
    return math.exp((low + high) / 2.0)


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's method for the continued fraction of I_x(a, b)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    result = d
    for m in range(1, _MAX_TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            c = 1.0 + numerator / c
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            step = d * c
            result *= step
        if abs(step - 1.0) < _EPSILON:
            break
    return result
