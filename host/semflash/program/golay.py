"""The extended Golay code (24, 12), over arrays of bits (uint8, 0 or 1).

A word is 12 data bits, the 11 bits of the remainder of data x^11 by x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1,
and an even parity over all of these. Any two words differ in 8 places: three flipped bits are corrected, four
are found.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

DATA, WORD = 12, 24
_POLYNOMIAL = 0xC75
_CORRECTED = 3
#: In the table of syndromes: more bits are flipped than can be corrected.
_BEYOND = -1


def _parity(data: int) -> int:
    """The 12 parity bits of 12 data bits."""
    rest = data << 11
    for place in range(22, 10, -1):
        if rest >> place & 1:
            rest ^= _POLYNOMIAL << (place - 11)
    word = data << 11 | rest
    return rest << 1 | word.bit_count() & 1


#: Parity bits of each data bit, the first bit of data first: 12 numbers of 12 bits.
ROWS = tuple(_parity(1 << (DATA - 1 - bit)) for bit in range(DATA))
_ROWS: NDArray[np.uint8] = np.array([[row >> (11 - j) & 1 for j in range(12)] for row in ROWS], np.uint8)


def _errors() -> NDArray[np.int64]:
    """Flipped bits by syndrome, int64 (4096,), the first bit of a word the most significant."""
    table = np.full(1 << DATA, _BEYOND, np.int64)
    single = [*ROWS, *(1 << (11 - j) for j in range(12))]
    for weight in range(_CORRECTED + 1):
        for places in combinations(range(WORD), weight):
            syndrome = flips = 0
            for place in places:
                syndrome ^= single[place]
                flips |= 1 << (WORD - 1 - place)
            table[syndrome] = flips
    return table


_ERRORS = _errors()
_WEIGHTS = 1 << np.arange(11, -1, -1)


def protect(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Words (..., 24) of data (..., 12)."""
    return np.concatenate([bits, bits @ _ROWS % 2], axis=-1)


def unprotect(
    words: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Data of received words (..., 24).

    Returns:
        The data (..., 12), how many bits were corrected (...), and whether the word could be corrected (...).
    """
    syndrome = (words[..., :DATA] @ _ROWS % 2 ^ words[..., DATA:]) @ _WEIGHTS
    flips = _ERRORS[syndrome]
    sound = flips != _BEYOND
    flipped = np.where(sound, flips, 0)[..., None] >> np.arange(WORD - 1, -1, -1) & 1
    data = words[..., :DATA] ^ flipped[..., :DATA].astype(np.uint8)
    return data, flipped.sum(axis=-1), sound
