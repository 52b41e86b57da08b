"""Modulation of int8 values (``device/stages/modulate.c``), from its definition and not from the C."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.program.stages import Modulation


def modulate(
    values: NDArray[np.int8], table: Modulation, zero_point: int, output_zero_point: int
) -> NDArray[np.int8]:
    """Int8 values (..., C) to int8 values (..., C); halves are rounded up.

    Args:
        table: The set of integers to use, checked.
        zero_point: Of the values.
        output_zero_point: Of what comes out.
    """
    q = values.astype(np.int64) - zero_point
    sums = np.array(table.multiplier, np.int64) * q + np.array(table.offset, np.int64)
    rounded = np.floor_divide(2 * sums + (1 << table.shift), 2 << table.shift)
    return np.clip(rounded + output_zero_point, -128, 127).astype(np.int8)
