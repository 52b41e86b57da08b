"""Rayleigh block fading on complex symbols, injected and seeded.

All symbols of a block meet the same complex gain h, whose parts are Gaussian with E|h|^2 = 1 (Tse and
Viswanath, Fundamentals of Wireless Communication, section 2.4); white noise comes on top. The receiver knows
the gain of each block (from pilots, :mod:`semflash.channels.snr_estimate`) and divides by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.channels.awgn import check_symbols, noise_power
from semflash.errors import UsageError


@dataclass(frozen=True)
class Faded:
    """What arrives over a fading channel.

    Attributes:
        received: The I and Q parts before equalisation, float64 (N, S, 2).
        gains: The complex gain that each symbol met, complex128 (N, S).
        snr_db: The ratio of each block at the receiver, |h|^2 times the mean one, float64 (N, blocks).
    """

    received: NDArray[np.float64]
    gains: NDArray[np.complex128]
    snr_db: NDArray[np.float64]

    @property
    def equalised(self) -> NDArray[np.float64]:
        """The received symbols divided by the gains, float64 (N, S, 2); small gains enlarge the noise."""
        return to_pairs(to_complex(self.received) / self.gains)


def fade(
    symbols: NDArray[np.floating],
    snr_db: ArrayLike,
    rng: np.random.Generator,
    *,
    block: int | None = None,
    power: float = 1.0,
) -> Faded:
    """Send symbols over a channel that fades from block to block.

    Args:
        symbols: The I and Q parts, float (N, S, 2).
        snr_db: The mean ratio, one for all or one for each of the N messages.
        rng: Its state decides gains and noise.
        block: How many symbols share a gain; None: a whole message does.
        power: The mean power of a sent symbol.

    Raises:
        UsageError: Symbols of another shape, no symbol in a block, or what ``noise_power`` refuses.
    """
    check_symbols(symbols)
    count, length, _ = symbols.shape
    size = length if block is None else block
    if size < 1:
        raise UsageError("a block of a fading channel holds a symbol or more", value=size, remedy="block=16")
    ratios = np.broadcast_to(np.asarray(snr_db, np.float64), count)
    noise = noise_power(ratios, power)
    parts = rng.standard_normal((count, -(-length // size), 2)) / np.sqrt(2.0)
    per_block = to_complex(parts)
    gains = np.repeat(per_block, size, axis=1)[:, :length]
    added = np.sqrt(noise / 2.0)[:, None, None] * rng.standard_normal(symbols.shape)
    received = to_pairs(gains * to_complex(symbols)) + added
    return Faded(received, gains, ratios[:, None] + 10.0 * np.log10(np.abs(per_block) ** 2))


def to_complex(pairs: NDArray[np.floating]) -> NDArray[np.complex128]:
    """I and Q parts (..., 2) as complex numbers (...)."""
    return pairs[..., 0] + 1j * pairs[..., 1]


def to_pairs(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Complex numbers (...) as I and Q parts (..., 2)."""
    return np.stack([values.real, values.imag], axis=-1)
