"""The arrays of a teacher store: their files, shapes and types.

All of one view lies together, so that the first views can be read while later ones are being made, and a
store grows by views without moving what is there. ``done.u8`` has one byte per view and block: 1 once the
block's answers are written.
"""

from __future__ import annotations

import numpy as np

from semflash.errors import TeacherError
from semflash.stores.arrays import ArrayFile
from semflash.stores.kind import StoreKind
from semflash.teachers.answers import index_type
from semflash.teachers.manifest import Manifest

TEACHER = StoreKind(
    "teacher store", TeacherError, "make the store again: remove its folder, then `semflash teach`"
)
INDEX, LOGIT, REST, DONE = "top_index", "top_logit.f16", "rest.f16", "done.u8"


def blocks_of(manifest: Manifest) -> int:
    """Blocks of one view; the last one may be smaller."""
    return -(-manifest.images // manifest.block)


def answer_files(manifest: Manifest) -> tuple[ArrayFile, ArrayFile, ArrayFile]:
    """Classes, logits and rest: (views, images, kept), (views, images, kept), (views, images)."""
    each = (manifest.views, manifest.images)
    kind = index_type(manifest.classes)
    return (
        ArrayFile(f"{INDEX}.u{8 * kind.itemsize}", kind, (*each, manifest.kept), TEACHER),
        ArrayFile(LOGIT, np.dtype("<f2"), (*each, manifest.kept), TEACHER),
        ArrayFile(REST, np.dtype("<f2"), each, TEACHER),
    )


def done_file(manifest: Manifest) -> ArrayFile:
    """Which blocks are there: uint8 (views, blocks)."""
    return ArrayFile(DONE, np.dtype("u1"), (manifest.views, blocks_of(manifest)), TEACHER)
