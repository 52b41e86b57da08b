"""Injected bit errors: a seeded binary symmetric channel on packed payloads."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.errors import UsageError


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
    rates = np.broadcast_to(np.asarray(ber, np.float64).ravel(), (len(payloads),))
    if not ((rates >= 0) & (rates <= 0.5)).all():
        raise UsageError("a bit error rate must be between 0 and 0.5", value=ber)
    flips = np.empty(payloads.shape, np.uint8)
    bits_per_payload = payloads.shape[1] * 8
    for start in range(0, len(payloads), 1024):
        part = rates[start : start + 1024, None]
        flips[start : start + 1024] = np.packbits(rng.random((len(part), bits_per_payload)) < part, axis=1)
    return payloads ^ flips
