"""Arrays with a row for each image, written block by block.

A block's rows are written, then its byte in the map of what is done: a block that a killed process left half
written does not count and is made again. More images may be asked for later; what is there stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semflash.stores.arrays import ArrayFile, make_room, put
from semflash.stores.kind import StoreKind

#: What a row holds: its type, and its shape.
Columns = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]


class Rows:
    """Files of one list of images.

    Args:
        folder: of the store.
        name: beginning of the files' names.
        images: on the list.
        block: images that are written at a time.
        columns: by the end of the file's name, such as ``segments.u8``.
        kind: of the store.
    """

    def __init__(
        self, folder: Path, name: str, images: int, block: int, columns: Columns, kind: StoreKind
    ) -> None:
        self.folder, self.images, self.block = folder, images, block
        self.files = tuple(
            ArrayFile(f"{name}-{end}", dtype, (images, *shape), kind)
            for end, (dtype, shape) in columns.items()
        )
        self.map = ArrayFile(f"{name}-done.u8", np.dtype("u1"), (-(-images // block),), kind)

    def begin(self, before: int = 0) -> None:
        """Make room for all rows, before a manifest says that there are so many.

        Args:
            before: images that were on the list when it was written last; where that was no whole number of
                blocks, the last of them grows and is made again. The manifest must not call them complete.
        """
        if not before:
            for one in (self.map, *self.files):
                (self.folder / one.name).unlink(missing_ok=True)
        for one in (*self.files, self.map):
            make_room(self.folder, one, shrink=False)
        if before and before < self.images and before % self.block:
            put(self.folder / self.map.name, before // self.block, b"\0")

    def trim(self) -> None:
        """Bring the files of a list that has become shorter to their size, once the manifest says so."""
        for one in (*self.files, self.map):
            make_room(self.folder, one)

    def done(self) -> np.ndarray:
        """Which blocks are there, bool (blocks,)."""
        return np.array(self.map.open(self.folder)) == 1

    def left(self) -> list[int]:
        """Blocks that are not there yet."""
        return [int(block) for block in np.flatnonzero(~self.done())]

    def whole(self) -> int:
        """How many images from the first on are there."""
        left = self.left()
        return min(left[0] * self.block, self.images) if left else self.images

    def begun(self) -> int:
        """How many images there are up to the last block that is there; 0: the files are not made yet."""
        if not (self.folder / self.map.name).exists():
            return 0
        there = np.flatnonzero(self.done())
        return min((int(there[-1]) + 1) * self.block, self.images) if len(there) else 0

    def images_of(self, block: int) -> np.ndarray:
        """Numbers of a block's images."""
        return np.arange(block * self.block, min((block + 1) * self.block, self.images))

    def write(self, block: int, parts: Sequence[np.ndarray]) -> None:
        """Put a block's rows into their places, one array for each file, then note that they are there.

        Raises:
            ValueError: an array is not what its file holds.
            OSError: no room.
        """
        places = self.images_of(block)
        for one, part in zip(self.files, parts, strict=True):
            if part.shape != (len(places), *one.shape[1:]) or part.dtype != one.dtype:
                raise ValueError(
                    f"{one.name} takes {one.dtype} {one.shape[1:]}, not {part.dtype} {part.shape}"
                )
            put(self.folder / one.name, int(places[0]) * one.row_bytes, np.ascontiguousarray(part).tobytes())
        put(self.folder / self.map.name, block, b"\1")

    def open(self, count: int) -> tuple[np.ndarray, ...]:
        """The first rows of each file, memory-mapped."""
        return tuple(one.open(self.folder)[:count] for one in self.files)

    def sha256(self) -> dict[str, str]:
        """Of each file's content."""
        return {one.name: one.sha256(self.folder) for one in self.files}
