"""Making a teacher store block by block, so that it can be stopped at any moment and goes on later.

The answers of a block are written, then its byte in the done-map: a block that a killed process left half
written does not count and is made again, byte for byte. One process makes a store at a time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import numpy as np

from semflash.data.dataset import Dataset
from semflash.errors import TeacherError
from semflash.stores import locks
from semflash.stores.arrays import make_room, put
from semflash.teachers.answers import compress
from semflash.teachers.asked import forget
from semflash.teachers.files import TEACHER, answer_files, blocks_of, done_file
from semflash.teachers.manifest import MANIFEST, Manifest, TeacherRecord, load_manifest
from semflash.teachers.store import check_data, check_teacher, content_sha256


def locked(folder: Path) -> AbstractContextManager[None]:
    """Be the only process that makes the teacher store in `folder` (:func:`semflash.stores.locks.locked`)."""
    return locks.locked(folder, TEACHER)


class StoreWriter:
    """A store that is being made; its folder is :func:`locked` by the caller.

    Args:
        manifest: of the store as it is to be; ``complete`` is False.

    Raises:
        TeacherError: the folder holds another teacher's answers, or such to other data.
    """

    def __init__(self, folder: Path, manifest: Manifest, data: Dataset) -> None:
        self.folder, self.manifest = folder, manifest
        if (folder / MANIFEST).exists():
            there = load_manifest(folder)
            check_data(there, data)
            check_teacher(there, manifest.identity, manifest.teacher.name)
            views = max(manifest.views, self._begun(there))
            grown = views > there.views
            self.manifest = msgspec.structs.replace(
                there,
                views=views,
                complete=there.complete and not grown,
                sha256={} if grown else there.sha256,
            )
        else:  # what lies here belongs to no store
            for one in (done_file(manifest), *answer_files(manifest)):
                (folder / one.name).unlink(missing_ok=True)
            forget(folder)
        for one in (*answer_files(self.manifest), done_file(self.manifest)):
            make_room(folder, one)
        self.manifest.save(folder)
        self.done = np.array(done_file(self.manifest).open(folder)) == 1

    def _begun(self, there: Manifest) -> int:
        """Views of a store that is there which have answers: a stopped run may have been to make more."""
        if there.complete:
            return there.views
        one = done_file(there)
        try:
            answered = np.array(one.open(self.folder)).any(axis=1)
        except TeacherError:  # stopped before the file was made
            return 0
        return int(np.flatnonzero(answered)[-1]) + 1 if answered.any() else 0

    def left(self) -> list[tuple[int, int]]:
        """Views and blocks that are not there yet, first views first."""
        return [(int(a), int(b)) for a, b in np.argwhere(~self.done)]

    def images_of(self, block: int) -> np.ndarray:
        """Numbers of the images of a block."""
        start = block * self.manifest.block
        return np.arange(start, min(start + self.manifest.block, self.manifest.images))

    def write(self, a: int, block: int, logits: np.ndarray) -> None:
        """Put the answers to view `a` of a block's images into their place, then note that they are there.

        Args:
            logits: float (n, classes).

        Raises:
            TeacherError: they are not as many as images, or hold something that is no number.
            OSError: no room.
        """
        indices = self.images_of(block)
        if logits.shape != (len(indices), self.manifest.classes):
            raise TeacherError(
                f"a teacher answers {len(indices)} images with {self.manifest.classes} logits each",
                value=logits.shape,
                remedy="--head fits a head for the data set's classes on what the network gives",
            )
        found = compress(logits, self.manifest.kept)
        for one, part in zip(
            answer_files(self.manifest), (found.index, found.logit, found.rest), strict=True
        ):
            row = one.row_bytes // self.manifest.images
            put(self.folder / one.name, a * one.row_bytes + int(indices[0]) * row, part.tobytes())
        put(self.folder / done_file(self.manifest).name, a * blocks_of(self.manifest) + block, b"\1")
        self.done[a, block] = True

    def know(self, teacher: TeacherRecord) -> None:
        """Keep what is known of the teacher by now, so that a stopped run need not measure it again."""
        self.manifest = msgspec.structs.replace(self.manifest, teacher=teacher)
        self.manifest.save(self.folder)

    def finish(self, teacher: TeacherRecord) -> Manifest:
        """Say that the store is complete; `teacher` may have figures that were not known at the beginning.

        Raises:
            TeacherError: blocks are missing.
        """
        if not self.done.all():
            raise TeacherError(
                "the teacher store is not complete", value=f"{len(self.left())} blocks are missing"
            )
        self.manifest = msgspec.structs.replace(
            self.manifest,
            teacher=teacher,
            complete=True,
            sha256=content_sha256(self.folder, self.manifest),
        )
        self.manifest.save(self.folder)
        return self.manifest
