"""The order of sending (LimitNet): what matters most comes first, and the receiver puts it back.

Both sides compute the order from the saliency codes, the device from those it sends, the edge from those it
got; an error in the saliency misplaces codes, as it would with any map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 16


def order(saliency: NDArray[np.uint8], channels: int, step: int) -> NDArray[np.int64]:
    """Raster positions in the order of sending, by falling score and then by position.

    Args:
        saliency: uint8 (N, ...), a code for each of n positions.
        channels: Codes at each position.
        step: See :class:`semflash.program.stages.Order`.

    Returns:
        int64 (N, n * channels): where the code that is sent first, second, ... stands.
    """
    places = saliency.reshape(len(saliency), -1, 1).astype(np.int64)
    score = (LEVEL * places - step * np.arange(channels)).reshape(len(saliency), -1)
    return np.argsort(-score, axis=1, kind="stable")


def sort(codes: NDArray, positions: NDArray[np.int64]) -> NDArray:
    """Codes (N, ..., channels) in the order of sending, (N, n * channels)."""
    return np.take_along_axis(codes.reshape(len(codes), -1), positions, axis=1)


def put_back(sorted_codes: NDArray, positions: NDArray[np.int64]) -> NDArray:
    """Undo :func:`sort`: (N, n * channels) in the order of sending to raster order."""
    result = np.empty_like(sorted_codes)
    np.put_along_axis(result, positions, sorted_codes, axis=1)
    return result
