"""Payload bits as QPSK symbols, and back by hard decisions: what carries bits over a channel with an SNR.

Two bits are one complex symbol of power 1, in Gray order: the first bit decides the sign of I, the second
that of Q (0: +, 1: -). Over white noise a bit is then wrong with probability Q(sqrt(SNR)), SNR being that of
a complex symbol (Proakis and Salehi, Digital Communications, 5th edition, section 4.3).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_AMPLITUDE = math.sqrt(0.5)


def modulate(payloads: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Symbols float64 (N, 4 P, 2), I and Q last, of payloads uint8 (N, P).

    >>> modulate(np.array([[0b00011011]], np.uint8))[0].round(2).tolist()
    [[0.71, 0.71], [0.71, -0.71], [-0.71, 0.71], [-0.71, -0.71]]
    """
    return modulate_bits(np.unpackbits(payloads, axis=1))


def modulate_bits(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Symbols float64 (N, B / 2, 2) of bits uint8 (N, B), B even."""
    return (_AMPLITUDE * (1.0 - 2.0 * bits.astype(np.float64))).reshape(len(bits), -1, 2)


def demodulate(symbols: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Payloads uint8 (N, P) of received symbols float (N, 4 P, 2), each bit by the sign of its part."""
    return np.packbits(demodulate_bits(symbols.reshape(len(symbols), -1)), axis=1)


def demodulate_bits(parts: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Bits uint8 (N, B) of the received parts of symbols float (N, B), each by its sign."""
    return (parts < 0).astype(np.uint8)


def bit_error_rate(snr_db: float) -> float:
    """The share of wrong bits after :func:`demodulate` over white noise.

    >>> round(bit_error_rate(0.0), 4)
    0.1587
    """
    return 0.5 * math.erfc(math.sqrt(10.0 ** (snr_db / 10.0) / 2.0))
