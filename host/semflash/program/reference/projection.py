"""Projections of int8 values (``device/stages/project.c``), from their definition and not from the C.

Requantisation is gemmlowp's: the product with a Q31 multiplier is rounded to nearest, ties up, and then the
right shift to nearest, ties away from zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.program.stages import Projection

_POSITIONS_PER_CHUNK = 16_384


def project(
    values: NDArray[np.int8], table: Projection, zero_point: int, output_zero_point: int
) -> NDArray[np.int8]:
    """Int8 values (..., C) to int8 values (..., J).

    Args:
        table: The set of integers to use, checked.
        zero_point: Of the values.
        output_zero_point: Of what comes out.
    """
    weights = np.array(table.weights, np.float64).reshape(len(table.bias), values.shape[-1])
    flat = values.reshape(-1, values.shape[-1])
    result = np.empty((len(flat), len(table.bias)), np.int8)
    for start in range(0, len(flat), _POSITIONS_PER_CHUNK):
        part = slice(start, start + _POSITIONS_PER_CHUNK)
        # whole numbers below 2^31, which float64 adds up exactly, and much faster than int64
        sums = ((flat[part].astype(np.float64) - zero_point) @ weights.T).astype(np.int64)
        sums += np.array(table.bias, np.int64)
        real = requantise(sums, np.array(table.multiplier, np.int64), np.array(table.shift, np.int64))
        result[part] = np.clip(real + output_zero_point, -128, 127)
    return result.reshape(*values.shape[:-1], len(table.bias))


def requantise(
    sums: NDArray[np.int64], multiplier: NDArray[np.int64], shift: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``sums * multiplier / 2^31 * 2^shift``, rounded twice; the arrays are broadcast."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = np.floor_divide((sums << left) * multiplier + (1 << 30), 1 << 31)
    magnitude = (np.abs(high) + ((1 << right) >> 1)) >> right
    return np.sign(high) * magnitude
