"""A trained detector as the teacher of a codec that gives boxes: asked while the student learns.

    answers = DetectorAnswers(load_task("runs/scenes-teacher/task"), data, augmentation, seed)
    maps = answers.logits(indices, views)

It sees the very views that the student learns from, so that its maps fit whatever the augmentation does.
Nothing is stored: the maps of a view take three quarters of its bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.data.augment import Augmentation
from semflash.data.dataset import Dataset
from semflash.data.drawn_views import DrawnViews
from semflash.errors import TeacherError
from semflash.tasks.detector import Detection
from semflash.training.run_dir import RunInfo, has_run
from semflash.training.task import TrainedTask, load_task

#: As the record of a store names what its teacher gives.
MAPS = "maps"
#: Where `semflash train` puts a task network.
TASK_DIR = "task"


class DetectorAnswers(DrawnViews):
    """Maps computed when they are asked for (:class:`semflash.codecs.own_training.Answers`).

    Args:
        task: The detector; it is not trained further.
        data: What the student learns from.
        how: The recipe's augmentation, of the views.
        seed: Of the views, that of the run.

    Raises:
        TeacherError: it is no detector, or of other classes or images.
    """

    def __init__(self, task: TrainedTask, data: Dataset, how: Augmentation, seed: int) -> None:
        super().__init__(how, seed, len(data.train))
        self._task, self._data, kind = task, data, task.kind
        known = (tuple(task.info.class_names), tuple(task.info.image_shape))
        if not isinstance(kind, Detection) or known != (tuple(data.class_names), data.image_shape):
            raise TeacherError(
                f"the teacher is no detector of the classes and images of {data.name}",
                value=f"{kind.name} of {task.info.dataset}, images {known[1]}",
                remedy=f"semflash train RECIPE --only-task, with a detector's recipe for {data.name}",
            )
        shape = task.tail.output_shape[1:]
        self.answer_shape: tuple[int, ...] = tuple(int(side) for side in shape)

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Maps float32 (n, h, w, classes + 4) of views (n,) of training images (n,)."""
        images = np.asarray(self._data.train.images[indices])
        return self._task.logits(self.view_images(images, indices, views))

    def record(self) -> dict[str, Any]:
        """Name of its recipe, SHA-256 and bytes of its weights, and its mAP on the validation split."""
        weights = [w for part in (self._task.head, self._task.tail) for w in part.weights]
        digest = hashlib.sha256()
        for weight in weights:
            digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight), "<f4").tobytes())
        return {
            "name": str(self._task.info.recipe["name"]),
            "sha256": digest.hexdigest(),
            "output": MAPS,
            "weights_bytes": 4 * sum(int(np.prod(weight.shape)) for weight in weights),
            "val_map50": self._task.info.results.get("val_map50"),
        }


def task_run_in(folder: Path) -> Path | None:
    """The run of a task network that a folder is, or that `semflash train` has put into it; None: neither.

    Raises:
        TrainingError: the run is damaged.
    """
    for place in (folder, folder / TASK_DIR):
        if place.is_dir() and has_run(place) and RunInfo.load(place).kind == "task":
            return place
    return None


def detector_in(folder: Path, data: Dataset, how: Augmentation, seed: int) -> DetectorAnswers:
    """The detector of a task network's run.

    Raises:
        TrainingError: the run is damaged.
        TeacherError: as of :class:`DetectorAnswers`.
    """
    return DetectorAnswers(load_task(folder), data, how, seed)
