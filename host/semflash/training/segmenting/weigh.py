"""Weighing stored segments: by a task network that is asked, or by a person's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from semflash.data.dataset import Dataset
from semflash.errors import SegmentError
from semflash.segments.evidence import Rule, ask, weights_of
from semflash.segments.manifest import SPLITS
from semflash.segments.maps import SEGMENTS_MAX
from semflash.segments.packages import file_sha256
from semflash.segments.store import SegmentStore
from semflash.segments.weighing import FORMAT, Weighing, weighing
from semflash.training.progress import Progress
from semflash.training.task import TrainedTask, load_task

TASK, PERSON = "task", "person"
BLOCK = 32
FILE_BYTES_MAX = 256 << 20
#: Weights, then further rows of the same block, all float32 (n, 64).
Weigh = Callable[[str, np.ndarray], tuple[np.ndarray, ...]]


def weigh_by_task(
    store: SegmentStore,
    data: Dataset,
    run: Path,
    rule: Rule | None = None,
    progress: Progress | None = None,
    *,
    images: dict[str, int] | None = None,
) -> None:
    """Ask a trained task network which segments matter (:mod:`semflash.segments.evidence`); kept as ``task``.

    Args:
        run: of the task network.
        images: so many of each split, from the first on; None: all of the store.

    Raises:
        TrainingError: it is not the finished run of a task network.
        SegmentError: its classes or images are not the data set's, or it gives something that is no number.
    """
    task, rule = load_task(run), rule or Rule()
    if task.info.image_shape != data.image_shape or task.info.class_names != list(data.class_names):
        raise SegmentError(
            "the task network is one of other images or classes",
            value=f"{run}: {task.info.image_shape}, {len(task.info.class_names)} classes",
            remedy=f"the run of a task network for {data.name}: semflash train --only-task",
        )
    made_of = {"task": file_sha256(run / "weights.npz"), "rule": rule.plain()}

    def weigh(split: str, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        part = getattr(data, split)
        maps = np.asarray(store.segments(split)[indices])
        images = np.asarray(part.images[indices])
        drops, alone = ask(images, part.labels[indices], maps, log_probabilities(task), rule)
        return weights_of(drops, alone, maps, rule), drops, alone

    weigh_all(store, TASK, made_of, weigh, progress or Progress(), ("drop", "alone"), images)


def log_probabilities(task: TrainedTask) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 images (n, H, W, C) to log-probabilities float32 (n, classes)."""

    def asked(images: np.ndarray) -> np.ndarray:
        logits = ops.convert_to_tensor(task.logits(images))
        return np.asarray(ops.convert_to_numpy(ops.log_softmax(logits, axis=-1)), np.float32)

    return asked


def weigh_by_file(store: SegmentStore, path: Path, progress: Progress | None = None) -> None:
    """Take a person's own weights; kept as ``person``.

    The file is JSON: for each split, for each image by its number from 0 on, the numbers of the segments that
    matter, or an object of segment numbers and weights 0 to 1: ``{"train": {"0": [2], "1": {"0": 0.5}}}``.
    What is not named weighs 0. A split's images are named from 0 on without a gap.

    Raises:
        SegmentError: it cannot be read, or names a segment or image that there is not.
    """
    weights = {split: _array(found, store, split) for split, found in _read(path).items()}
    made_of = {"file": file_sha256(path)}
    weigh_all(
        store,
        PERSON,
        made_of,
        lambda split, indices: (weights[split][indices],),
        progress or Progress(),
        images={split: len(found) for split, found in weights.items()},
    )


def weigh_all(
    store: SegmentStore,
    name: str,
    made_of: dict[str, Any],
    weigh: Weigh,
    progress: Progress,
    others: tuple[str, ...] = (),
    images: dict[str, int] | None = None,
) -> None:
    """Weigh all images of a store, or so many of each split, that are not weighed yet.

    Args:
        name: that the weights are kept by.
        made_of: plain values that decide them.
        weigh: gives the weights of images of a split, float32 (n, 64), then the rows of `others`.
    """
    images = images or {split: store.count(split) for split in store.splits}
    wanted = Weighing(FORMAT, name, store.digest, made_of, images, BLOCK, others)
    with weighing(store, wanted) as rows:
        left = [(split, block) for split, one in rows.items() for block in one.left()]
        missing = sum(len(rows[split].images_of(block)) for split, block in left)
        total = sum(one.images for one in rows.values())
        if left:
            progress.say(f"weighing the segments of {missing:,} images: {name}")
        with progress.work(f"weighing: {name}", total, total - missing) as bar:
            for split, block in left:
                indices = rows[split].images_of(block)
                rows[split].write(block, [part.astype("<f2") for part in weigh(split, indices)])
                bar.advance(len(indices))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The file's splits."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ValueError("it is too large")
        found = json.loads(content)
        if not isinstance(found, dict) or not found or not set(found) <= set(SPLITS):
            raise ValueError(f"it has no object for each of some of {', '.join(SPLITS)}")
        if not all(isinstance(one, dict) and one for one in found.values()):
            raise ValueError("a split is an object of images by their numbers")
    except (OSError, ValueError, RecursionError) as error:
        raise SegmentError(
            f"cannot read the weights of segments: {error}",
            value=path,
            remedy='JSON such as {"train": {"0": [2], "1": {"0": 0.5}}}',
        ) from error
    return found


def _array(found: dict[str, Any], store: SegmentStore, split: str) -> np.ndarray:
    """Weights float32 (n, 64) of a split."""
    count = store.count(split)
    expected = {str(number) for number in range(len(found))}
    if set(found) != expected or len(found) > count:
        odd = sorted(set(found) ^ expected)[:3]
        raise SegmentError(
            f"images of {split} are numbered from 0 on without a gap, and {count:,} are divided",
            value=f"{len(found)} images; {', '.join(odd)}" if odd else len(found),
        )
    weights = np.zeros((len(found), SEGMENTS_MAX), np.float32)
    maps = store.segments(split)
    for image, value in found.items():
        there = set(np.unique(maps[int(image)]).tolist())
        for number, weight in _pairs(value, f"{split} {image}"):
            if number not in there:
                raise SegmentError(
                    f"image {image} of {split} has no such segment",
                    value=number,
                    remedy=f"one of {', '.join(map(str, sorted(there)))}",
                )
            weights[int(image), number] = weight
    return weights


def _pairs(value: Any, where: str) -> list[tuple[int, float]]:
    """Segment numbers and their weights."""
    if isinstance(value, list) and all(type(one) is int for one in value):
        return [(one, 1.0) for one in value]
    if isinstance(value, dict) and all(
        key.isdecimal() and type(one) in (int, float) and 0 <= one <= 1 for key, one in value.items()
    ):
        return [(int(key), float(one)) for key, one in value.items()]
    raise SegmentError(
        "an image has a list of segment numbers, or an object of numbers and weights 0 to 1",
        value=f"{where}: {str(value)[:80]}",
    )
