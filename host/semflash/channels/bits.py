"""Injected bit errors: a seeded binary symmetric channel on packed payloads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.errors import UsageError


def check_rates(ber: ArrayLike, count: int = 1) -> NDArray[np.float64]:
    """Bit error rates float64 (count,), of one number or of one per payload.

    Raises:
        UsageError: one outside 0..0.5, or another number of them.
    """
    rates = np.asarray(ber, np.float64).ravel()
    if len(rates) not in (1, count):
        raise UsageError("one bit error rate, or one per payload", value=f"{len(rates)} for {count} payloads")
    if not ((rates >= 0) & (rates <= 0.5)).all():
        raise UsageError(
            "a bit error rate must be between 0 and 0.5", value=ber, remedy="0.01 means one bit in a hundred"
        )
    return np.broadcast_to(rates, (count,))


def channel_rng(seed: int, ber: float) -> np.random.Generator:
    """Generator of the injected errors: depends on seed and BER only, not on the list of BERs."""
    return np.random.default_rng([seed, round(ber * 2**40)])


def flip_bits(payloads: NDArray[np.uint8], ber: ArrayLike, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip every bit independently with probability ``ber``.

    Args:
        payloads: uint8 (N, P).
        ber: one number, or one per payload (N,), 0..0.5.
        rng: its state decides which bits flip; one call with N payloads equals N calls with one payload each.

    Returns:
        a new array; the input stays.

    Raises:
        UsageError: a BER outside 0..0.5.
    """
    rates = check_rates(ber, len(payloads))
    flips = np.empty(payloads.shape, np.uint8)
    bits_per_payload = payloads.shape[1] * 8
    for start in range(0, len(payloads), 1024):
        part = rates[start : start + 1024, None]
        flips[start : start + 1024] = np.packbits(rng.random((len(part), bits_per_payload)) < part, axis=1)
    return payloads ^ flips


def binary_symmetric(payloads: Sequence[bytes], ber: float, rng: np.random.Generator) -> list[bytes]:
    """Flip every bit with probability ``ber``; payloads of one length meet the errors of `flip_bits`."""
    if len({len(payload) for payload in payloads}) == 1:
        block = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        return [row.tobytes() for row in flip_bits(block, ber, rng)]
    return [flip_bits(np.frombuffer(p, np.uint8)[None], ber, rng).tobytes() for p in payloads]
