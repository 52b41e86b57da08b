"""A range coder over many streams at once, with a static table of frequencies per symbol position.

Integer arithmetic coding after Witten, Neal and Cleary (CACM 30 (6), 1987), renormalised by bytes without a
carry (Subbotin 1999): ``low`` and ``range`` are 32 bit wide; a byte leaves when the top byte of both ends of
the interval agrees, or the range is cut down to below 2^16 so that it will.

All streams are coded in lockstep, in numpy. The end of a stream is the shortest number of bytes in the last
interval if zeros follow; trailing zero bytes are left away
(but for one, if there is nothing else). The decoder survives any bytes: it then gives
wrong symbols, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.errors import UsageError

TOTAL = 1 << 14  # sum of the frequencies of a table
_TOP, _BOTTOM, _WORD = np.uint64(1 << 24), np.uint64(1 << 16), np.uint64(0xFFFFFFFF)
_EIGHT, _24 = np.uint64(8), np.uint64(24)

Tables = Callable[[int, NDArray[np.uint8]], NDArray[np.int64]]


def frequencies(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cumulative frequencies int64 (..., K + 1), 0 to 2^14, of counts (..., K); none is below 1.

    Raises:
        UsageError: more symbols than the table can hold.
    """
    symbols = counts.shape[-1]
    if not 1 <= symbols <= TOTAL // 4:
        raise UsageError("too many symbols for a table", value=symbols)
    smoothed = counts.astype(np.float64) + 0.5
    spread = smoothed / smoothed.sum(-1, keepdims=True) * (TOTAL - symbols)
    ends = np.rint(np.cumsum(spread, axis=-1)).astype(np.int64) + np.arange(1, symbols + 1)
    return np.concatenate([np.zeros((*counts.shape[:-1], 1), np.int64), ends], axis=-1)


def encode(codes: NDArray[np.uint8], tables: Tables) -> list[bytes]:
    """Streams of codes uint8 (N, S).

    Args:
        tables: position and codes (N, S) to cumulative frequencies (N, K + 1); may depend on
            the codes before the position only.
    """
    count, symbols = codes.shape
    low, size = np.zeros(count, np.uint64), np.full(count, _WORD)
    out, used = np.zeros((count, 2 * symbols + 8), np.uint8), np.zeros(count, np.int64)
    for position in range(symbols):
        ends = tables(position, codes)
        code = codes[:, position, None].astype(np.int64)
        start = np.take_along_axis(ends, code, 1)[:, 0].astype(np.uint64)
        width = np.take_along_axis(ends, code + 1, 1)[:, 0].astype(np.uint64) - start
        size //= np.uint64(TOTAL)
        low, size = (low + start * size) & _WORD, size * width
        while (ready := _renormalise(low, size)).any():
            rows = np.flatnonzero(ready)
            out[rows, used[rows]] = (low[rows] >> _24).astype(np.uint8)
            used[rows] += 1
            low[rows] = (low[rows] << _EIGHT) & _WORD
            size[rows] = (size[rows] << _EIGHT) & _WORD
    return [_finish(out[i, : used[i]].tobytes(), int(low[i]), int(size[i])) for i in range(count)]


def decode(streams: Sequence[bytes], symbols: int, tables: Tables) -> NDArray[np.uint8]:
    """Codes uint8 (N, symbols) of any streams."""
    count = len(streams)
    longest = max((len(stream) for stream in streams), default=0)
    data = np.zeros((count, max(longest, 2 * symbols) + 12), np.uint64)
    for row, stream in zip(data, streams, strict=True):
        row[: len(stream)] = np.frombuffer(stream, np.uint8)
    word = (data[:, 0] << _24) | (data[:, 1] << np.uint64(16)) | (data[:, 2] << _EIGHT) | data[:, 3]
    low, size, place = np.zeros(count, np.uint64), np.full(count, _WORD), np.full(count, 4)
    codes = np.zeros((count, symbols), np.uint8)
    for position in range(symbols):
        ends = tables(position, codes)
        size //= np.uint64(TOTAL)
        target = np.minimum(((word - low) & _WORD) // size, np.uint64(TOTAL - 1)).astype(np.int64)
        code = (target[:, None] >= ends[:, 1:]).sum(1)[:, None]
        codes[:, position] = code[:, 0]
        start = np.take_along_axis(ends, code, 1)[:, 0].astype(np.uint64)
        width = np.take_along_axis(ends, code + 1, 1)[:, 0].astype(np.uint64) - start
        low, size = (low + start * size) & _WORD, size * width
        while (ready := _renormalise(low, size)).any():
            rows = np.flatnonzero(ready)
            word[rows] = ((word[rows] << _EIGHT) | data[rows, place[rows]]) & _WORD
            place[rows] += 1
            low[rows] = (low[rows] << _EIGHT) & _WORD
            size[rows] = (size[rows] << _EIGHT) & _WORD
    return codes


def _renormalise(low: NDArray[np.uint64], size: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Streams whose top byte is settled; a range that is too small is cut to the next multiple of 2^16."""
    settled = (low ^ (low + size)) < _TOP
    cut = ~settled & (size < _BOTTOM)
    size[cut] = (np.uint64(1 << 32) - low[cut]) & (_BOTTOM - np.uint64(1))
    return settled | cut


def _finish(stream: bytes, low: int, size: int) -> bytes:
    """The stream with the fewest bytes more that name a number in [low, low + size)."""
    for keep in range(5):
        unit = 1 << (32 - 8 * keep)
        value = -(-low // unit) * unit
        if value < low + size and value < 1 << 32:
            return (stream + value.to_bytes(4, "big")[:keep]).rstrip(b"\0") or b"\0"
    raise AssertionError("four bytes name every number")
