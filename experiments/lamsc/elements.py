"""An element-wise mask as the paper has it, every bit counted: single coefficients, wherever they are."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.multires.klt import lloyd_max

#: Bits of a value; of mean colour, check and the number of values.
VALUE_BITS, HEAD_BITS = 4, 28 + 12


def bits_of(count: int, kept: int) -> int:
    """Of a payload with so many of all elements, whose positions cost as little as any code of them can."""
    return (comb(count, kept) - 1).bit_length() + VALUE_BITS * kept + HEAD_BITS


def elements_that_fit(
    coefficients: NDArray[np.floating],
    weights: NDArray[np.floating],
    deviation: NDArray[np.floating],
    rate: int,
) -> tuple[NDArray[np.float32], float]:
    """What stands for the elements of most weighted energy, 0 elsewhere, float32 (N, blocks, K), and the
    bytes of a payload.

    Args:
        coefficients: (N, blocks, K).
        weights: Of the blocks, (N, blocks).
        deviation: Of each coefficient, (K,): values are coded in these units.
        rate: Bytes.
    """
    count = coefficients[0].size
    most = max(kept for kept in range(1, count) if bits_of(count, kept) <= 8 * rate)
    energy = (np.square(coefficients) * weights[..., None]).reshape(len(coefficients), -1)
    kept = np.zeros(energy.shape, bool)
    np.put_along_axis(kept, np.argsort(-energy, axis=1, kind="stable")[:, :most], True, axis=1)
    scaled = (coefficients / deviation).reshape(kept.shape)
    thresholds, centres = lloyd_max(scaled[kept].astype(np.float64), 1 << VALUE_BITS)
    sent = np.where(kept, centres[np.searchsorted(thresholds, scaled)], 0).reshape(coefficients.shape)
    return (sent * deviation).astype(np.float32), bits_of(count, most) / 8
