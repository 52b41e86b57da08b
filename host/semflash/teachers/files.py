"""The arrays of a teacher store: their files, shapes and types.

All of one view lies together, so that the first views can be read while later ones are being made, and a
store grows by views without moving what is there. ``done.u8`` has one byte per view and block: 1 once the
block's answers are written.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semflash.errors import TeacherError
from semflash.teachers.answers import index_type
from semflash.teachers.manifest import Manifest

INDEX, LOGIT, REST, DONE = "top_index", "top_logit.f16", "rest.f16", "done.u8"


@dataclass(frozen=True)
class ArrayFile:
    """One file: raw numbers, little endian, in C order."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def view_bytes(self) -> int:
        """Bytes of one view."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def open(self, folder: Path) -> np.ndarray:
        """The file's numbers, memory-mapped, not to be written; it may have grown by views since.

        Raises:
            TeacherError: it is missing, or too small.
        """
        path = folder / self.name
        try:
            size = path.stat().st_size
            if size < self.size_bytes:
                raise TeacherError(
                    f"the teacher store is truncated: {self.name} is too small",
                    value=f"{size:,} bytes, not {self.size_bytes:,}",
                    remedy="make the store again: remove its folder, then `semflash teach`",
                )
            return np.memmap(path, self.dtype, "r", shape=self.shape)
        except OSError as error:
            raise TeacherError(
                f"the teacher store cannot be read: {error.strerror}",
                value=path,
                remedy="make the store again: remove its folder, then `semflash teach`",
            ) from error


def blocks_of(manifest: Manifest) -> int:
    """Blocks of one view; the last one may be smaller."""
    return -(-manifest.images // manifest.block)


def answer_files(manifest: Manifest) -> tuple[ArrayFile, ArrayFile, ArrayFile]:
    """Classes, logits and rest: (views, images, kept), (views, images, kept), (views, images)."""
    each = (manifest.views, manifest.images)
    kind = index_type(manifest.classes)
    return (
        ArrayFile(f"{INDEX}.u{8 * kind.itemsize}", kind, (*each, manifest.kept)),
        ArrayFile(LOGIT, np.dtype("<f2"), (*each, manifest.kept)),
        ArrayFile(REST, np.dtype("<f2"), each),
    )


def done_file(manifest: Manifest) -> ArrayFile:
    """Which blocks are there: uint8 (views, blocks)."""
    return ArrayFile(DONE, np.dtype("u1"), (manifest.views, blocks_of(manifest)))


def make_room(folder: Path, one: ArrayFile) -> None:
    """Make a file of its size, or bring an older one to it; what is new in it is 0."""
    handle = os.open(folder / one.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        if os.fstat(handle).st_size != one.size_bytes:
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
