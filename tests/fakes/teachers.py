"""Small data sets and teachers that answer by a formula, for tests of teacher stores."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.data.views import VERSION, ViewSettings
from semflash.teachers.base import LOGITS
from semflash.teachers.manifest import FORMAT, Manifest, TeacherRecord, data_sha256, identity_of
from semflash.teachers.writing import StoreWriter, locked

RECORD = TeacherRecord("formula", "ab" * 32, 1_234, LOGITS, {"side": 8})


def small_data(train: int = 50, classes: int = 12, seed: int = 0, channels: int = 3) -> Dataset:
    """Images of noise around a brightness that tells the class, 8x8."""
    rng = np.random.default_rng(seed)

    def split(count: int) -> Split:
        labels = rng.integers(0, classes, count).astype(np.int32)
        images = labels[:, None, None, None] * (200 // classes) + rng.integers(0, 40, (count, 8, 8, channels))
        return Split(images.astype(np.uint8), labels)

    names = tuple(f"class {index}" for index in range(classes))
    return Dataset("small", split(train), split(24), split(24), names)


class Formula:
    """Answers with logits that depend on the image alone."""

    def __init__(self, classes: int = 12, record: TeacherRecord = RECORD) -> None:
        self.classes, self.record, self.asked = classes, record, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def ask(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        means = images.reshape(len(images), -1).mean(axis=1, dtype=np.float64)
        centres = np.arange(self.classes) * (200 // self.classes) + 20
        return (-np.abs(means[:, None] - centres) / 8).astype(np.float32)


def manifest_of(
    data: Dataset, *, views: int = 3, kept: int = 5, block: int = 16, record: TeacherRecord = RECORD
) -> Manifest:
    """Of a store that has nothing yet."""
    digest, settings = data_sha256(data), ViewSettings(2, True, 0.1)
    return Manifest(
        FORMAT,
        data.name,
        digest,
        len(data.train),
        data.image_shape,
        len(data.class_names),
        views,
        kept,
        VERSION,
        3,
        settings,
        block,
        record,
        identity_of(digest, record, 3, settings, kept),
    )


def answer(writer: StoreWriter, data: Dataset, teacher: Formula, most: int | None = None) -> None:
    """Ask for what is missing, or for so many blocks of it."""
    from semflash.data.views import view

    manifest = writer.manifest
    for a, block in writer.left()[:most]:
        indices = writer.images_of(block)
        numbers = np.full(len(indices), a)
        images = view(
            data.train.images[indices], indices, numbers, manifest.view_seed, manifest.view_settings
        )
        writer.write(a, block, teacher.ask(images))


def make_store(folder: Path, data: Dataset, views: int = 3) -> Manifest:
    """A complete store of the formula's answers."""
    with locked(folder):
        writer = StoreWriter(folder, manifest_of(data, views=views), data)
        answer(writer, data, Formula(len(data.class_names)))
        return writer.finish(RECORD)
