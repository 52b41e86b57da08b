"""The idx format of MNIST (big-endian): 0, 0, type, dimensions; a uint32 per dimension; the data.

Source: the end of http://yann.lecun.com/exdb/mnist/. Only type 0x08 (unsigned byte) is read.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from semflash.data import unpacked
from semflash.errors import DatasetError

UNSIGNED_BYTE = 0x08
BinaryReader = BinaryIO | gzip.GzipFile | io.BytesIO
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
        if path.suffix == ".gz":
            packed = _packed(path)
            kept = unpacked.path_of(packed)
            content = unpacked.read(kept)
            with io.BytesIO(packed if content is None else content) as file:
                source = gzip.GzipFile(fileobj=file) if content is None else file
                header, shape, data = _read(source, dimensions, path)
            if content is None and len(data) == math.prod(shape):
                unpacked.keep(kept, header, data)
        else:
            with path.open("rb") as plain:
                header, shape, data = _read(plain, dimensions, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot read {path.name}: {error}", value=path, remedy=_AGAIN) from error
    size_bytes = math.prod(shape)
    if len(data) != size_bytes:
        found = f"{len(data)} bytes" if len(data) < size_bytes else "more"
        raise DatasetError(
            f"{path.name} should hold {size_bytes} bytes of data", value=f"{found} in {path}", remedy=_AGAIN
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _packed(path: Path) -> bytes:
    """A packed file. DatasetError: larger than any that is read."""
    if path.stat().st_size > BYTES_MAX:
        raise DatasetError(f"{path.name} is too large", value=path, remedy=_AGAIN)
    return path.read_bytes()


def _read(file: BinaryReader, dimensions: int, path: Path) -> tuple[bytes, tuple[int, ...], bytes]:
    """Header, shape and data; at most one byte more than the header states."""
    header = file.read(4 + 4 * dimensions)
    shape = _read_shape(header, dimensions, path)
    return header, shape, file.read(math.prod(shape) + 1)


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
