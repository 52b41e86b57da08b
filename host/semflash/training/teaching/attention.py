"""Asking a vision transformer what it attends to in every image: ``semflash teach --attention``."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.data.registry import load_dataset
from semflash.data.summary import summary
from semflash.errors import TeacherError, UsageError
from semflash.teachers.asked import Asked, forget
from semflash.teachers.attended import grid_of
from semflash.teachers.attention_store import AttentionStore, is_attention, load, save
from semflash.teachers.base import Teacher
from semflash.teachers.manifest import TeacherRecord, data_sha256
from semflash.teachers.store import cache_dir
from semflash.teachers.writing import locked
from semflash.training.progress import Progress
from semflash.training.teaching.request import TeachRequest, mirrors, plan

BLOCK = 128
_DIGITS = 24


def teach_attention(request: TeachRequest, progress: Progress | None = None) -> AttentionStore:
    """Store the attention to all training and validation images, or go on with what was stopped; a store
    that is there is read.

    Raises:
        DatasetError: The data set is missing or malformed.
        UsageError: There is no such teacher, or it is no file.
        ToolMissingError: An extra is not installed.
        TeacherError, TrainingError: The file is no good, or what it gives is no attention.
    """
    progress = progress or Progress()
    size = (request.image_size, request.image_size)
    data = load_dataset(
        request.dataset, data_dir=request.data_dir, image_size=size, skip_bad=request.skip_bad
    )
    for line in summary(data):
        progress.say(line)
    if request.options.registers is None:
        raise UsageError("how many registers has the teacher?", remedy="--registers 0, or 4 of DINOv2's")
    planned = plan(request, data, progress)
    mirrored = mirrors(data.name) if request.mirror is None else request.mirror
    folder = request.out or cache_dir() / f"attention-{_identity(data, planned.record, mirrored)}"
    with locked(folder):
        if is_attention(folder):
            found = load(folder, data)
            _check(found, planned.record, mirrored)
            return found
        asked = Asked(folder, len(data.train) + len(data.val), BLOCK)
        if asked.left():
            with planned.start(folder) as teacher:
                _ask(asked, teacher, data, mirrored, progress)
        maps = _maps(asked, data)
        found = save(
            folder,
            data,
            planned.record,
            (maps[: len(data.train)], maps[len(data.train) :]),
            mirrored=mirrored,
        )
        forget(folder)
    return found


def _identity(data: Dataset, record: TeacherRecord, mirrored: bool) -> str:
    decides = [data_sha256(data), record.name, record.sha256, record.settings, mirrored]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _check(found: AttentionStore, record: TeacherRecord, mirrored: bool) -> None:
    known = found.record.teacher
    same = (known.name, known.sha256, known.settings) == (record.name, record.sha256, record.settings)
    if not same or found.record.mirrored != mirrored:
        raise TeacherError(
            "the folder holds the attention of another teacher or of other settings",
            value=f"{known.name} {known.sha256[:16]}, not {record.name} {record.sha256[:16]}",
            remedy="another --out, or none: each teacher and setting has a folder of its own",
        )


def _ask(asked: Asked, teacher: Teacher, data: Dataset, mirrored: bool, progress: Progress) -> None:
    left = asked.left()
    missing = sum(len(asked.images_of(block)) for block in left)
    with progress.work(
        f"asking {teacher.record.name} what it attends to", asked.images, asked.images - missing
    ) as bar:
        for block in left:
            places = asked.images_of(block)
            images = np.concatenate(
                [_images(data.train, places), _images(data.val, places - len(data.train))]
            )
            rows = teacher.ask(images)
            if mirrored:
                rows = (rows + _turned(teacher.ask(images[:, :, ::-1]), data)) / 2
            asked.write(block, rows)
            bar.advance(len(places))


def _images(split: Split, places: np.ndarray) -> np.ndarray:
    """Those of a split among places on the list."""
    return np.asarray(split.images[places[(places >= 0) & (places < len(split))]])


def _turned(rows: np.ndarray, data: Dataset) -> np.ndarray:
    """Maps of mirror images, as rows, turned back."""
    grid = _grid(rows.shape[1], data)
    return rows.reshape(-1, *grid)[:, :, ::-1].reshape(rows.shape)


def _maps(asked: Asked, data: Dataset) -> np.ndarray:
    rows = np.asarray(asked.rows(), np.float32)
    maps = rows.reshape(-1, *_grid(rows.shape[1], data))
    return np.asarray(maps / maps.sum(axis=(1, 2), keepdims=True))


def _grid(patches: int, data: Dataset) -> tuple[int, int]:
    """TeacherError: so many patches cover no such image."""
    height, width, _ = data.image_shape
    try:
        return grid_of(patches, (height, width))
    except ValueError as error:
        raise TeacherError(
            f"the attention is of no grid of patches: {error}",
            value=patches,
            remedy="--registers N, the tokens between CLS and the patches (4 of DINOv2 with registers)",
        ) from error
