"""The power normalisation (``device/stages/normalise.c``), from its definition and not from the C.

1/sqrt comes from a table, so that the device neither divides nor takes roots. The sum of squares S is brought
to a mantissa m, 64 <= m < 256, and an exponent e by S = m 4^e, cut to whole numbers, and

    1 / sqrt(S)  is about  ROOTS[m - 64] / 2^15 / sqrt(64) / 2^e

The entry belongs to the middle of its mantissas, so the error is below 0.4 % for every S.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.program.value_checks import GAIN_BITS

MANTISSAS = np.arange(64, 256)
#: sqrt(64 / (m + 1/2)) in Q15, int64 (192,).
ROOTS: NDArray[np.int64] = np.round(2**15 * np.sqrt(64 / (MANTISSAS + 0.5))).astype(np.int64)
ROOT_BITS = 15 + 3
LARGEST = 127


def normalise(values: NDArray[np.int8], zero_point: int, gain: int) -> NDArray[np.int8]:
    """Int8 values (N, ...) of N images to int8 values of nominal power; zeros where all are zero.

    Args:
        zero_point: Of the values; that of the result is 0.
        gain: Q8, see :class:`semflash.program.stages.Normalise`.
    """
    q = values.astype(np.int64).reshape(len(values), -1) - zero_point
    sums = (q * q).sum(axis=1)
    root, exponent = inverse_root(np.maximum(sums, 1))
    shift = (GAIN_BITS + ROOT_BITS + exponent)[:, None]
    magnitude = (np.abs(q) * (gain * root)[:, None] + (np.int64(1) << (shift - 1))) >> shift
    result = np.sign(q) * np.minimum(magnitude, LARGEST)
    return result.reshape(values.shape).astype(np.int8)


def inverse_root(sums: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entry of the table and exponent e, so that 1/sqrt(sums) is about ``entry / 2^18 / 2^e``; sums > 0."""
    bits = np.frexp(sums.astype(np.float64))[1].astype(np.int64)
    exponent = (bits - 7) // 2
    mantissa = np.floor(np.ldexp(sums.astype(np.float64), -2 * exponent)).astype(np.int64)
    return ROOTS[mantissa - 64], exponent
