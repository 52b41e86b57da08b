"""Stored answers of a teacher: a stopped run leaves whole blocks, which the next one does not ask again."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fakes.teachers import RECORD, Formula, answer, manifest_of, small_data
from kill.scenarios import NOTHING, nothing_before
from kill.stopping import Scenario
from semflash.data.dataset import Dataset
from semflash.errors import TeacherError
from semflash.teachers.asked import Asked, forget
from semflash.teachers.store import TeacherStore
from semflash.teachers.writing import StoreWriter, locked

_IMAGES, _CLASSES, _BLOCK = 20, 3, 8
_KNOWN = msgspec.structs.replace(RECORD, val_accuracy=0.5)


@cache
def _data() -> Dataset:
    return small_data(train=_IMAGES, classes=_CLASSES)


def _ready() -> None:
    _data()


def _teach(folder: Path, views: int) -> None:
    data, teacher, place = _data(), Formula(_CLASSES), folder / "store"
    with locked(place):
        writer = StoreWriter(place, manifest_of(data, views=views, kept=2, block=_BLOCK), data)
        if writer.manifest.complete:
            return
        if writer.manifest.teacher.val_accuracy is None:
            asked = Asked(place, len(data.val), _BLOCK)
            for block in asked.left():
                asked.write(block, teacher.ask(data.val.images[asked.images_of(block)]))
            writer.know(_KNOWN)
        answer(writer, data, teacher)
        forget(place)
        writer.finish(_KNOWN)


def _look(folder: Path) -> Any:
    try:
        store = TeacherStore.open(folder / "store", _data(), partial=True)
    except TeacherError as error:
        if "no teacher store" in error.what or "not finished" in error.what:
            return NOTHING
        raise
    indices, views = np.tile(np.arange(_IMAGES), store.views), np.repeat(np.arange(store.views), _IMAGES)
    # Each view apart: those of a store that grows are as they were.
    answers = store.logits(indices, views).reshape(store.views, -1)
    return [hashlib.sha256(one.tobytes()).hexdigest() for one in answers]


def _has_whole_views(seen: Any, old: Any, new: Any) -> bool:
    """Fewer views than there are to be, each as it is to be."""
    return bool(seen == NOTHING and old == NOTHING) or (seen != NOTHING and seen == new[: len(seen)])


ALL = (
    Scenario(
        "teacher store, first views",
        nothing_before,
        lambda folder: _teach(folder, 2),
        _look,
        _has_whole_views,
        ready=_ready,
    ),
    Scenario(
        "teacher store, more views",
        lambda folder: _teach(folder, 1),
        lambda folder: _teach(folder, 3),
        _look,
        _has_whole_views,
        ready=_ready,
    ),
)
