"""Asking a teacher once for every training image and view: ``teach(request)`` behind ``semflash teach``.

In this order, each step going on where it was stopped:

1. the validation and test split, for the teacher's accuracy; for a teacher that gives features, the training
   split, too, on which its head is fitted (:mod:`semflash.teachers.head`);
2. view 0 of all training images, view 1, and so on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.data.sample import balanced
from semflash.data.summary import summary
from semflash.data.views import VERSION, ViewSettings
from semflash.errors import TeacherError
from semflash.outputs.chance import Chance
from semflash.teachers.asked import Asked
from semflash.teachers.base import FEATURES, LOGITS, PROBABILITIES, Plan, Teacher
from semflash.teachers.head import Head, fit_head
from semflash.teachers.live import as_logits, look_like_probabilities
from semflash.teachers.manifest import FORMAT, Manifest, TeacherRecord, data_sha256, identity_of
from semflash.teachers.store import TeacherStore, cache_dir
from semflash.teachers.writing import StoreWriter, locked
from semflash.training.progress import Progress
from semflash.training.teaching.request import TeachRequest, mirrors, plan

#: Logits of an answer that are kept unless another number is asked for.
KEPT = 10
#: Images of one view that are asked and written at a time.
BLOCK = 128
#: Most training images that a head is fitted on, as many of each class.
HEAD_IMAGES_MAX = 20_000
_DIGITS = 24


def teach(request: TeachRequest, progress: Progress | None = None) -> TeacherStore:
    """Make a teacher store, or go on with one, or give it more views.

    Raises:
        DatasetError: the data set is missing or malformed.
        UsageError: there is no such teacher.
        ToolMissingError: its extra is not installed.
        TeacherError, TrainingError: the teacher's file is no good, it cannot answer, its classes are not the
            data set's, another process makes the store, or the folder holds another one.
    """
    progress = progress or Progress()
    data = _data(request)
    for line in summary(data):
        progress.say(line)
    planned = plan(request, data, progress)
    manifest = _manifest(request, data, planned.record)
    folder = request.out or cache_dir() / manifest.identity[:_DIGITS]
    with locked(folder):
        writer = StoreWriter(folder, manifest, data)
        if not writer.manifest.complete:
            _make(writer, planned, data, progress)
    return TeacherStore.open(folder, data)


def _data(request: TeachRequest) -> Dataset:
    size = (request.image_size, request.image_size)
    data = load_dataset(
        request.dataset, data_dir=request.data_dir, image_size=size, skip_bad=request.skip_bad
    )
    if data.has_boxes:
        raise TeacherError(
            "a teacher answers with classes, and the data set has boxes",
            value=data.name,
            remedy="a data set with one class for each image",
        )
    return data


def _manifest(request: TeachRequest, data: Dataset, record: TeacherRecord) -> Manifest:
    """Of the store as it is to be."""
    mirror = mirrors(data.name) if request.mirror is None else request.mirror
    settings = ViewSettings(request.shift_px, mirror, request.gain)
    classes, digest = len(data.class_names), data_sha256(data)
    kept = min(classes, KEPT) if request.kept is None else request.kept
    if not 1 <= kept <= classes:
        raise TeacherError(
            f"an answer has {classes} logits", value=f"{kept} to keep", remedy=f"--keep {min(classes, KEPT)}"
        )
    return Manifest(
        FORMAT,
        data.name,
        digest,
        len(data.train),
        data.image_shape,
        classes,
        request.views,
        kept,
        VERSION,
        request.seed,
        settings,
        BLOCK,
        record,
        identity_of(digest, record, request.seed, settings, kept),
    )


def _make(writer: StoreWriter, planned: Plan, data: Dataset, progress: Progress) -> None:
    with planned.start(writer.folder) as teacher:
        record, head = _measured(writer, teacher, data, progress)
        took = _answer_all(writer, teacher, record, head, progress, data)
    if took:
        record = msgspec.structs.replace(record, ms_per_image=round(1e3 * float(np.median(took)), 3))
    writer.finish(record)
    Asked(writer.folder, 0, BLOCK).remove()


def _answer_all(
    writer: StoreWriter,
    teacher: Teacher,
    record: TeacherRecord,
    head: Head | None,
    progress: Progress,
    data: Dataset,
) -> list[float]:
    """Ask for all blocks that are not there; returns seconds per image of each."""
    total = writer.manifest.views * writer.manifest.images
    left = writer.left()
    missing = sum(len(writer.images_of(block)) for _, block in left)
    store = TeacherStore(writer.folder, writer.manifest, writer.manifest.views)
    took: list[float] = []
    view = -1
    with progress.work(f"asking {record.name}", total, total - missing) as bar:
        for a, block in left:
            if a != view and not progress.bar:
                progress.say(f"view {a + 1} of {writer.manifest.views}{_remaining(took, missing)}")
            view, indices = a, writer.images_of(block)
            images = store.view_images(
                np.asarray(data.train.images[indices]), indices, np.full(len(indices), a)
            )
            begun = time.monotonic()
            rows = teacher.ask(images)
            took.append((time.monotonic() - begun) / len(images))
            writer.write(a, block, as_logits(rows, record, head))
            missing -= len(indices)
            bar.advance(len(indices))
    return took


def _remaining(took: list[float], images: int) -> str:
    if not took:
        return ""
    each = float(np.median(took))
    return f", {1e3 * each:.1f} ms an image, about {max(1, round(each * images / 60))} min left"


def _measured(
    writer: StoreWriter, teacher: Teacher, data: Dataset, progress: Progress
) -> tuple[TeacherRecord, Head | None]:
    """The teacher's record with its accuracies, and its head where it needs one; kept in the folder."""
    known = writer.manifest.teacher
    if known.val_accuracy is not None:
        return known, Head.load(writer.folder) if known.output == FEATURES else None
    record, classes = teacher.record, writer.manifest.classes
    fitted = record.output == FEATURES
    chosen = balanced(data.train.labels, HEAD_IMAGES_MAX) if fitted else np.zeros(0, np.int64)
    parts: list[tuple[Any, np.ndarray]] = [
        (data.val.images, np.arange(len(data.val))),
        (data.test.images, np.arange(len(data.test))),
        (data.train.images, np.sort(chosen)),
    ]
    rows = _ask_parts(writer.folder, teacher, parts, progress)
    val, test, train = np.split(rows, np.cumsum([len(places) for _, places in parts])[:2])
    head = None
    if fitted:
        labels = data.train.labels[parts[2][1]]
        progress.say(f"fitting a head on {len(train):,} images of {train.shape[1]:,} features")
        head = fit_head(train, labels, val, data.val.labels, classes, tell=_teller(progress))
        head.save(writer.folder)
        record = msgspec.structs.replace(record, head_sha256=head.sha256, head_decay=head.decay)
    else:
        _check_width(rows, classes, data)
        kind = PROBABILITIES if look_like_probabilities(rows) else LOGITS
        record = msgspec.structs.replace(record, output=kind)
    record = msgspec.structs.replace(
        record,
        val_accuracy=_accuracy(as_logits(val, record, head), data.val.labels),
        test_accuracy=_accuracy(as_logits(test, record, head), data.test.labels),
    )
    progress.say(f"{record.name}: {record.val_accuracy:.1%} of the validation split right")
    _warn_of_chance(record, data, progress)
    writer.know(record)
    return record, head


def _ask_parts(
    folder: Path, teacher: Teacher, parts: list[tuple[Any, np.ndarray]], progress: Progress
) -> np.ndarray:
    """What the teacher gives for images of several splits, float16 (all of them, width)."""
    total = sum(len(places) for _, places in parts)
    asked = Asked(folder, total, BLOCK)
    where = [(images, int(place)) for images, places in parts for place in places]
    left = asked.left()
    done = total - sum(len(asked.images_of(block)) for block in left)
    with progress.work(f"{teacher.record.name} on all splits", total, done) as bar:
        if left:
            progress.say(f"asking {teacher.record.name} for {total - done:,} images as they are")
        for block in left:
            pixels = [np.asarray(where[one][0][where[one][1]]) for one in asked.images_of(block)]
            asked.write(block, teacher.ask(np.stack(pixels)))
            bar.advance(len(pixels))
    return asked.rows()


def _check_width(rows: np.ndarray, classes: int, data: Dataset) -> None:
    if rows.shape[1] != classes:
        raise TeacherError(
            "the teacher has another number of classes than the data set",
            value=f"{rows.shape[1]}, and {classes} of {data.name}",
            remedy="--head fits a head for the data set's classes on what the teacher gives",
        )


def _warn_of_chance(record: TeacherRecord, data: Dataset, progress: Progress) -> None:
    chance, reached = Chance.of(data.val.labels), record.val_accuracy
    if reached is not None and not chance.is_above(reached):
        progress.warn(
            f"the teacher {record.name} knows nothing of these images: {chance.words(reached)}; "
            "look whether its classes, image size and range of values are right"
        )


def _teller(progress: Progress) -> Callable[[float, float, float], None]:
    def tell(decay: float, entropy: float, accuracy: float) -> None:
        progress.say(
            f"  weight decay {decay:g}: validation accuracy {accuracy:.4f}, cross entropy {entropy:.4f}"
        )

    return tell


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == labels).mean())
