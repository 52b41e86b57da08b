"""The two codes that protect a region of the payload, over arrays of bits (uint8, 0 or 1).

Hamming(7,4): the data bits d1 d2 d3 d4 are sent as p1 p2 d1 p3 d2 d3 d4, with even parity p1 over d1 d2 d4,
p2 over d1 d3 d4 and p3 over d2 d3 d4. One flipped bit in a word is corrected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.program.layout import Protection

_GENERATOR = np.array(
    [[1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 0, 1, 0], [1, 1, 0, 1, 0, 0, 1]], np.uint8
)
_DATA_AT = [2, 4, 5, 6]
#: Bit j of a syndrome is the parity over the places whose number (from 1) has bit j.
_PLACE_BITS = np.array([[place >> j & 1 for j in range(3)] for place in range(1, 8)], np.uint8)


def protect(bits: NDArray[np.uint8], protection: Protection) -> NDArray[np.uint8]:
    """The bits that are sent for a region.

    Args:
        bits: (N, n).

    Returns:
        (N, protected_bits(n)).
    """
    if protection == "repeat-3":
        return np.tile(bits, (1, 3))
    if protection == "hamming-7-4":
        padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4))).reshape(len(bits), -1, 4)
        return (padded @ _GENERATOR % 2).reshape(len(bits), padded.shape[1] * 7)
    return bits


def unprotect(
    sent: NDArray[np.uint8], known: NDArray[np.bool_], bits: int, protection: Protection
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """Undo :func:`protect` after the channel.

    Args:
        sent: (N, protected_bits(bits)), as received.
        known: The same shape, False where a bit did not arrive.
        bits: The number of bits of the region before protection.

    Returns:
        The bits (N, bits), whether each is known, and for each image how many were corrected.
    """
    if protection == "repeat-3":
        return _majority(sent.reshape(len(sent), 3, bits), known.reshape(len(sent), 3, bits))
    if protection == "hamming-7-4":
        return _hamming(sent, known, bits)
    return sent, known, np.zeros(len(sent), np.int64)


def _majority(
    copies: NDArray[np.uint8], known: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """The majority of the copies that arrived; where two disagree, the first of them."""
    ones, arrived = (copies & known).sum(axis=1), known.sum(axis=1)
    first = np.take_along_axis(copies, known.argmax(axis=1)[:, None], axis=1)[:, 0]
    bits = np.where(2 * ones == arrived, first, 2 * ones > arrived).astype(np.uint8)
    corrected = ((ones > 0) & (ones < arrived)).sum(axis=1)
    return bits, arrived > 0, corrected


def _hamming(
    sent: NDArray[np.uint8], known: NDArray[np.bool_], bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """Words with one flipped bit are corrected; a word is known if all of it arrived."""
    words = sent.reshape(len(sent), -1, 7)
    whole: NDArray[np.bool_] = np.all(known.reshape(words.shape), axis=2)
    syndrome = (words @ _PLACE_BITS % 2) @ np.array([1, 2, 4], np.uint8)
    flipped: NDArray[np.bool_] = np.equal(syndrome[..., None], np.arange(1, 8)) & whole[..., None]
    data = (words ^ flipped)[..., _DATA_AT].reshape(len(sent), -1)[:, :bits]
    return data, np.repeat(whole, 4, axis=1)[:, :bits], flipped.any(axis=2).sum(axis=1)
