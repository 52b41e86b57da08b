"""The idx format of MNIST (big-endian): 0, 0, type, dimensions; a uint32 per dimension; the data.

Source: the end of http://yann.lecun.com/exdb/mnist/. Only type 0x08 (unsigned byte) is read.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from semflash.errors import DatasetError

UNSIGNED_BYTE = 0x08
ITEMS_MAX = 10_000_000
BYTES_MAX = 1 << 31


def find_idx_file(folder: Path, stem: str) -> Path | None:
    """Return ``folder/stem.gz`` or ``folder/stem``, whichever exists first; None where neither does."""
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    return None


def read_idx(folder: Path, stem: str, *, dimensions: int) -> np.ndarray:
    """Read ``folder/stem`` (or ``.gz``) as uint8 with the shape its header states.

    Raises:
        DatasetError: missing, not gzip, truncated, wrong magic number, or more or fewer bytes than stated.
    """
    path = find_idx_file(folder, stem)
    if path is None:
        raise DatasetError("a file of the data set is missing", value=folder / f"{stem}.gz", remedy=_AGAIN)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            shape = _read_shape(file.read(4 + 4 * dimensions), dimensions, path)
            size_bytes = math.prod(shape)
            data = file.read(size_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot read {path.name}: {error}", value=path, remedy=_AGAIN) from error
    if len(data) != size_bytes:
        found = f"{len(data)} bytes" if len(data) < size_bytes else "more"
        raise DatasetError(
            f"{path.name} should hold {size_bytes} bytes of data", value=f"{found} in {path}", remedy=_AGAIN
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_shape(header: bytes, dimensions: int, path: Path) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dimensions:
        raise DatasetError(f"{path.name} ends inside its header", value=path, remedy=_AGAIN)
    if header[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DatasetError(
            f"{path.name} is no idx file of unsigned bytes with {dimensions} dimension(s)",
            value=f"magic {header[:4].hex()}",
            remedy=_AGAIN,
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not all(shape) or shape[0] > ITEMS_MAX or math.prod(shape) > BYTES_MAX:
        raise DatasetError(f"{path.name} states an impossible size", value=shape, remedy=_AGAIN)
    return shape


_AGAIN = "get the data set again (Fashion-MNIST: apt-get install --reinstall dataset-fashion-mnist)"
