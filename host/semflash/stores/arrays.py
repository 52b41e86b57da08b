"""Arrays in files of their own: raw numbers, little endian, memory-mapped and written in place."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semflash.stores.kind import StoreKind

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ArrayFile:
    """One file of a store."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    kind: StoreKind

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry of the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def open(self, folder: Path) -> np.ndarray:
        """The file's numbers, memory-mapped, not to be written; it may have grown along its first axis since.

        Raises:
            The kind's error: it is missing, or too small.
        """
        path = folder / self.name
        try:
            size = path.stat().st_size
            if size < self.size_bytes:
                raise self.kind.error(
                    f"the {self.kind.name} is truncated: {self.name} is too small",
                    value=f"{size:,} bytes, not {self.size_bytes:,}",
                    remedy=self.kind.remake,
                )
            return np.memmap(path, self.dtype, "r", shape=self.shape)
        except OSError as error:
            raise self.kind.error(
                f"the {self.kind.name} cannot be read: {error.strerror}",
                value=path,
                remedy=self.kind.remake,
            ) from error

    def sha256(self, folder: Path) -> str:
        """SHA-256 (hex) of the file's numbers; the kind's error as of :meth:`open`."""
        digest = hashlib.sha256()
        content = self.open(folder).reshape(-1).view(np.uint8)
        for start in range(0, len(content), _CHUNK_BYTES):
            digest.update(content[start : start + _CHUNK_BYTES].tobytes())
        return digest.hexdigest()


def make_room(folder: Path, one: ArrayFile, *, shrink: bool = True) -> None:
    """Make a file of its size, or bring an older one to it; what is new in it is 0. A larger one stays as it
    is unless it is to `shrink`."""
    handle = os.open(folder / one.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        size = os.fstat(handle).st_size
        if size < one.size_bytes or (shrink and size > one.size_bytes):
            os.ftruncate(handle, one.size_bytes)
    finally:
        os.close(handle)


def put(path: Path, offset: int, data: bytes) -> None:
    """Write within a file, as far as the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left = memoryview(data)
        while left:
            written = os.pwrite(handle, left, offset)
            left, offset = left[written:], offset + written
        os.fdatasync(handle)
    finally:
        os.close(handle)
