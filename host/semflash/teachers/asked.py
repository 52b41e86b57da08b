"""What a teacher gave for the images that its head and its accuracy need, kept until the store is complete.

A folder beside the answers: ``rows.f16`` (images, width) and a done-map, written block by block as the
answers are, so that a stopped run does not ask again. ``width.json`` is written once both have their size.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from semflash import atomic
from semflash.errors import TeacherError
from semflash.stores.arrays import ArrayFile, make_room, put
from semflash.teachers.files import TEACHER

FOLDER = "asked"
_WIDTH = "width.json"
_WIDTH_MAX = 1 << 20


class Asked:
    """Rows of numbers, one for each image of a list that never changes.

    Args:
        folder: of the store.
        images: on the list.
        block: images that are asked at a time.
    """

    def __init__(self, folder: Path, images: int, block: int) -> None:
        self.folder, self.images, self.block = folder / FOLDER, images, block
        self.done = np.zeros(-(-images // block), np.bool_)
        self._width = _width(self.folder / _WIDTH)
        if self._width:
            self.done = np.array(self._map.open(self.folder)) == 1

    @property
    def _map(self) -> ArrayFile:
        return ArrayFile("done.u8", np.dtype("u1"), self.done.shape, TEACHER)

    @property
    def _file(self) -> ArrayFile:
        return ArrayFile("rows.f16", np.dtype("<f2"), (self.images, self._width), TEACHER)

    def rows(self) -> np.ndarray:
        """All of them, float16 (images, width), memory-mapped."""
        return self._file.open(self.folder)

    def left(self) -> list[int]:
        """Blocks that were not asked yet."""
        return [int(block) for block in np.flatnonzero(~self.done)]

    def images_of(self, block: int) -> np.ndarray:
        """Places on the list that a block has."""
        return np.arange(block * self.block, min((block + 1) * self.block, self.images))

    def write(self, block: int, rows: np.ndarray) -> None:
        """Keep what was given for a block, float (n, width).

        Raises:
            TeacherError: there are more or fewer rows than images, they are of another width than before, or
                hold something that is no number.
            OSError: no room.
        """
        if not self._width:
            self._begin(rows.shape[1])
        places = self.images_of(block)
        if rows.shape != (len(places), self._width):
            raise TeacherError(
                f"the teacher gives {self._width} numbers for each image, and now others",
                value=f"{rows.shape} for {len(places)} images",
            )
        if not np.isfinite(rows).all():
            raise TeacherError(
                "the teacher's answer is no number",
                value=f"{rows[~np.isfinite(rows)][0]} in block {block}",
                remedy="another teacher, or the image size and range that this one was made for",
            )
        row_bytes = self._width * self._file.dtype.itemsize
        limit = float(np.finfo("<f2").max)
        put(
            self.folder / "rows.f16",
            int(places[0]) * row_bytes,
            np.clip(rows, -limit, limit).astype("<f2").tobytes(),
        )
        put(self.folder / "done.u8", block, b"\1")
        self.done[block] = True

    def _begin(self, width: int) -> None:
        self._width = width
        self.folder.mkdir(exist_ok=True)
        for one in (self._map, self._file):
            (self.folder / one.name).unlink(missing_ok=True)  # of an older list
            make_room(self.folder, one)
        atomic.write(self.folder / _WIDTH, json.dumps({"width": width}))


def _width(path: Path) -> int:
    """Numbers for each image; 0: nothing was asked, or what was written is damaged and asked again."""
    try:
        width = json.loads(path.read_text(encoding="utf-8"))["width"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
    return width if type(width) is int and 0 < width <= _WIDTH_MAX else 0


def forget(folder: Path) -> None:
    """Remove what was asked for the store in `folder`: its head and accuracy are known."""
    (folder / FOLDER / _WIDTH).unlink(missing_ok=True)  # first: without it, the rest counts for nothing
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
