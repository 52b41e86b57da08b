"""Additive white Gaussian noise on complex symbols, injected and seeded.

A symbol is a pair of real numbers (I, Q). The signal-to-noise ratio is that of one complex symbol at the
nominal power: with power 1, noise of variance ``10^(-snr/10)`` is added, half of it to each of the two parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.errors import UsageError

SNR_MIN_DB, SNR_MAX_DB = -100.0, 100.0


def noise_power(snr_db: ArrayLike, power: float = 1.0) -> NDArray[np.float64]:
    """The noise variance of a complex symbol at an SNR in dB, when the signal's mean power is ``power``.

    >>> float(noise_power(10.0))
    0.1

    Raises:
        UsageError: An SNR outside -100 to 100 dB or not a number, or a power that is not above 0.
    """
    ratios = np.asarray(snr_db, np.float64)
    if not ((ratios >= SNR_MIN_DB) & (ratios <= SNR_MAX_DB)).all():
        remedy = "10 means ten times the power of the noise"
        raise UsageError("an SNR is between -100 and 100 dB", value=snr_db, remedy=remedy)
    if not power > 0.0:
        raise UsageError("the power of a symbol must be above 0", value=power, remedy="the mean of I^2 + Q^2")
    return power * 10.0 ** (-ratios / 10.0)


def add_noise(
    symbols: NDArray[np.floating], snr_db: ArrayLike, rng: np.random.Generator, *, power: float = 1.0
) -> NDArray[np.float64]:
    """The symbols as they arrive.

    Args:
        symbols: The I and Q parts, float (N, S, 2).
        snr_db: One ratio for all, or one for each of the N messages.
        rng: Its state decides the noise.
        power: The mean power of a sent symbol, the nominal one that the ratio is told for.

    Raises:
        UsageError: Symbols of another shape, or what :func:`noise_power` refuses.
    """
    check_symbols(symbols)
    spread = np.sqrt(noise_power(np.broadcast_to(snr_db, len(symbols)), power) / 2.0)
    return symbols + spread[:, None, None] * rng.standard_normal(symbols.shape)


def check_symbols(symbols: NDArray[np.floating]) -> None:
    """Raises UsageError unless the array is (messages, symbols, 2)."""
    if symbols.ndim != 3 or symbols.shape[-1] != 2:
        raise UsageError(
            "symbols are an array (messages, symbols, 2)", value=symbols.shape, remedy="I and Q stand last"
        )
