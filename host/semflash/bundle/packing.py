"""Codes to payload bytes and back: fixed-length symbols, most significant bit first, raster order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from semflash.errors import BundleError


def payload_size(symbols: int, bits: int) -> int:
    """Bytes that hold ``symbols`` symbols of ``bits`` bits."""
    return -(-symbols * bits // 8)


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes.

    Args:
        codes: uint8 (N, ...), each < 2^bits.
        bits: per symbol, 1..8.

    Returns:
        uint8 (N, P); the last byte is filled with zero bits.

    Raises:
        BundleError: bits out of range, codes of another type, or a code that does not fit.
    """
    _check_bits(bits)
    if codes.dtype != np.uint8:
        raise BundleError("codes must be uint8", value=codes.dtype)
    flat = np.ascontiguousarray(codes).reshape(len(codes), math.prod(codes.shape[1:]))
    if flat.size and int(flat.max()) >> bits:
        raise BundleError(f"a code does not fit {bits} bits", value=int(flat.max()))
    planes = np.unpackbits(flat[:, :, None], axis=2)[:, :, 8 - bits :]
    return np.packbits(planes.reshape(len(flat), flat.shape[1] * bits), axis=1)


def unpack(payloads: NDArray[np.uint8], bits: int, symbols: int) -> NDArray[np.uint8]:
    """Undo :func:`pack`: uint8 (N, P) -> codes uint8 (N, symbols).

    Raises:
        BundleError: the payloads are not uint8, or their size does not fit symbols and bits.
    """
    _check_bits(bits)
    size = payload_size(symbols, bits)
    if payloads.dtype != np.uint8 or payloads.ndim != 2 or payloads.shape[1] != size:
        raise BundleError(
            f"payloads must be uint8 (N, {size}) bytes", value=f"{payloads.dtype} {tuple(payloads.shape)}"
        )
    stream = np.unpackbits(np.ascontiguousarray(payloads), axis=1)[:, : symbols * bits]
    planes = np.zeros((len(payloads), symbols, 8), np.uint8)
    planes[:, :, 8 - bits :] = stream.reshape(len(payloads), symbols, bits)
    return np.packbits(planes, axis=2)[:, :, 0]


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 8:
        raise BundleError("bits per symbol must be 1 to 8", value=bits)
