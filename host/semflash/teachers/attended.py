"""What a vision transformer attends to: row CLS of its last block, from the outputs of a network.

An output is one of these, t tokens being CLS, the registers (arXiv 2309.16588) and the patches in raster
order:

    (n, heads, t, t)   attention of each head, rows that sum to 1
    (n, t, t)          the same, mean over the heads
    (n, heads, t)      row CLS of each head
    (n, t)             row CLS, mean over the heads

or there are two outputs, queries and keys of the block, both (n, heads, t, width): then row CLS is
softmax(q k / sqrt(width)), as every transformer has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Rows of an attention sum to 1 within this.
SUM_ERROR = 2e-2
#: Values that are 0 but for rounding.
_NEGATIVE = 1e-4

Outputs = Sequence[NDArray[np.floating]]


def row_cls(outputs: Outputs, registers: int) -> NDArray[np.float32]:
    """Row CLS without CLS's own column and the registers', float32 (n, patches), each summing to 1.

    Args:
        outputs: Of a batch of n images: one attention, or queries and keys.
        registers: Tokens between CLS and the patches.

    Raises:
        ValueError: They are no attention.
    """
    row = _row_of(outputs)
    if row.shape[1] <= 1 + registers:
        raise ValueError(f"{row.shape[1]} tokens are CLS, {registers} registers and no patch")
    patches = row[:, 1 + registers :]
    return np.asarray(patches / np.maximum(patches.sum(axis=1, keepdims=True), 1e-12), np.float32)


def _row_of(outputs: Outputs) -> NDArray[np.float64]:
    """Row CLS over all tokens, mean over the heads."""
    shapes = " and ".join(str(each.shape) for each in outputs)
    if any(each.dtype.kind != "f" for each in outputs):
        raise ValueError(f"its outputs are {', '.join(str(each.dtype) for each in outputs)}, no numbers")
    if len(outputs) == 2:
        return _of_queries(outputs[0], outputs[1])
    if len(outputs) != 1:
        raise ValueError(f"an attention is one output, or two of queries and keys, not {shapes}")
    (values,) = outputs
    square = values.ndim >= 3 and values.shape[-1] == values.shape[-2]
    if values.ndim not in (2, 3, 4) or (values.ndim == 4 and not square):
        raise ValueError(f"an output of {shapes} is no attention (n, heads, t, t), (n, heads, t) or (n, t)")
    rows = values[..., 0, :] if square else values
    row = np.asarray(rows.mean(axis=1) if rows.ndim == 3 else rows, np.float64)
    sums = row.sum(axis=1)
    if not np.isfinite(row).all() or row.min() < -_NEGATIVE or (np.abs(sums - 1) > SUM_ERROR).any():
        raise ValueError(
            f"row CLS of an output of {shapes} sums to {sums[0]:.3g}, least {row.min():.3g}: an attention's "
            "sums to 1 and has nothing below 0"
        )
    return np.maximum(row, 0.0)


def _of_queries(queries: NDArray[np.floating], keys: NDArray[np.floating]) -> NDArray[np.float64]:
    if queries.ndim != 4 or queries.shape != keys.shape:
        raise ValueError(
            f"queries and keys are both (n, heads, t, width), not {queries.shape} and {keys.shape}"
        )
    first = queries[:, :, :1].astype(np.float64)
    scores = (first @ keys.astype(np.float64).transpose(0, 1, 3, 2))[:, :, 0] / math.sqrt(queries.shape[3])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    if not np.isfinite(shares).all():
        raise ValueError("queries or keys hold something that is no number")
    return np.asarray(shares.mean(axis=1))


def grid_of(patches: int, shape: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of so many patches of images with these sides, which are square patches.

    Raises:
        ValueError: So many square patches do not cover such an image.
    """
    height, width = shape
    for rows in range(1, patches + 1):
        if patches % rows == 0 and rows * width == patches // rows * height:
            return rows, patches // rows
    raise ValueError(f"{patches} patches do not cover an image of {height}x{width}: are there registers?")


def resampled(maps: NDArray[np.floating], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Maps (n, h, w) on another grid, each summing to 1: what a patch of the new grid covers of each old
    one, by area."""
    down, across = (_areas(old, new) for old, new in zip(maps.shape[1:], grid, strict=True))
    found = np.einsum("ih,nhw,jw->nij", down, maps.astype(np.float64), across)
    return np.asarray(found / np.maximum(found.sum(axis=(1, 2), keepdims=True), 1e-12), np.float32)


def _areas(old: int, new: int) -> NDArray[np.float64]:
    """Share of each old cell that lies in each new one, (new, old)."""
    ends = np.arange(new + 1) / new * old
    cells = np.arange(old)
    low, high = np.maximum(ends[:-1, None], cells), np.minimum(ends[1:, None], cells + 1)
    return np.asarray(np.maximum(0.0, high - low))
