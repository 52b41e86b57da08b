"""Quantiles of the gamma distribution, by series and continued fraction of the incomplete gamma function.

No SciPy, so that nothing that monitors has to import it. Source: Press et al., Numerical Recipes (3rd ed.),
section 6.2; DLMF 8.11.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_EPSILON = 1e-15
_MAX_TERMS = 100_000


def gamma_cdf(x: float, shape: float) -> float:
    """P(X <= x) for X ~ Gamma(shape, scale 1); shape > 0.

    >>> round(gamma_cdf(1.0, 1.0), 12)
    0.632120558829
    """
    if x <= 0.0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        return front * _series(x, shape)
    return 1.0 - front * _fraction(x, shape)


def gamma_quantile(share: float, shape: float) -> float:
    """The x with P(X <= x) = share, 0 < share < 1, to about 1e-12 relative, by bisection of its logarithm.

    >>> round(gamma_quantile(0.5, 1.0), 9)
    0.693147181
    """
    low, high = math.log(1e-30), math.log(2.0 * shape + 100.0)
    while high - low > 1e-12:
        middle = (low + high) / 2.0
        if gamma_cdf(math.exp(middle), shape) < share:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2.0)


def _series(x: float, shape: float) -> float:
    """The lower incomplete gamma function over x^shape e^-x."""
    term = total = 1.0 / shape
    for n in range(1, _MAX_TERMS):
        term *= x / (shape + n)
        total += term
        if term < total * _EPSILON:
            break
    return total


def _fraction(x: float, shape: float) -> float:
    """The upper incomplete gamma function over x^shape e^-x (Lentz's method)."""
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    result = d
    for n in range(1, _MAX_TERMS):
        factor = -n * (n - shape)
        b += 2.0
        d = factor * d + b
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = b + factor / c
        c = c if abs(c) > _TINY else _TINY
        result *= d * c
        if abs(d * c - 1.0) < _EPSILON:
            break
    return result
