"""Training of the task network: ``train_task_network(recipe, out_dir)`` and ``load_task(out_dir)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.errors import TrainingError
from semflash.training import losses
from semflash.training.augment import Augmentation, augment
from semflash.training.datasets import Dataset, Split, load_dataset
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.progress import Progress
from semflash.training.recipes import TaskRecipe
from semflash.training.run_dir import RunInfo, load_weights, save_weights
from semflash.training.tasknet import TaskNetwork, build_head, build_tail

EVALUATION_BATCH = 1_000


@dataclasses.dataclass(frozen=True)
class TrainedTask:
    """A trained task network: head (images to features), tail (features to logits) and where it came from."""

    head: keras.Model
    tail: keras.Model
    info: RunInfo

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, classes) of uint8 images (N, H, W, C)."""
        return in_batches(lambda x: self.tail(self.head(x, training=False), training=False), images)

    def accuracy(self, split: Split) -> float:
        """Share of right labels, 0..1."""
        return losses.accuracy(split.labels, self.logits(split.images))


def train_task_network(
    recipe: TaskRecipe, out_dir: str | Path, *, data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> TrainedTask:  # fmt: skip
    """Train head and tail, or go on with a stopped run in the same directory.

    Writes ``run.json``, ``history.json``, ``weights.npz`` (averaged weights) and ``checkpoint.npz``.

    Raises:
        DatasetError: the data set is missing or malformed.
        TrainingError: the directory holds another recipe's checkpoint, or the loss is no longer finite.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    data = load_dataset(recipe.dataset, data_dir=data_dir)
    train = limited(data.train, recipe.train_images)
    keras.utils.set_random_seed(recipe.seed)
    head = build_head(data.image_shape, recipe.head_channels)
    tail = build_tail(head.output_shape[1:], len(data.class_names), recipe.widths)
    network = TaskNetwork(head, tail, recipe.label_smoothing)
    info = RunInfo.start("task", dataclasses.asdict(recipe), data, recipe.seed)
    trained = TrainedTask(head, tail, info)
    plan = StagePlan(
        name="task", model=network, epochs=recipe.epochs, steps=len(train) // recipe.batch,
        batches=lambda rng: _batches(train, recipe.batch, recipe.augmentation, rng),
        validate=lambda: {"val_accuracy": trained.accuracy(data.val)},
        peak=recipe.peak, weight_decay=recipe.weight_decay, ema_decay=recipe.ema_decay,
    )  # fmt: skip
    shown = progress or Progress()
    run_stages([plan], out, seed=recipe.seed, fingerprint=fingerprint_of(info.recipe), progress=shown)
    save_weights(out, {"head": head, "tail": tail})
    info = info.finished(val_accuracy=trained.accuracy(data.val))
    info.save(out)
    return dataclasses.replace(trained, info=info)


def load_task(out_dir: str | Path) -> TrainedTask:
    """Load what :func:`train_task_network` wrote.

    Raises:
        TrainingError: not a finished run of a task network.
    """
    out = Path(out_dir)
    info = RunInfo.load(out)
    if info.kind != "task":
        raise TrainingError("not the run of a task network", value=out, remedy="name its directory")
    head = build_head(info.image_shape, int(info.recipe["head_channels"]))
    tail = rebuild_tail(info.recipe, head.output_shape[1:], len(info.class_names))
    load_weights(out, {"head": head, "tail": tail})
    return TrainedTask(head, tail, info)


def rebuild_tail(
    task_recipe: dict[str, Any], feature_shape: tuple[int, ...], classes: int
) -> keras.Model:  # fmt: skip
    """An untrained tail of the structure that a task network's recipe (as run.json holds it) describes."""
    return build_tail(
        (feature_shape[0], feature_shape[1], feature_shape[2]), classes, tuple(task_recipe["widths"])
    )


def limited(split: Split, count: int | None) -> Split:
    """The first ``count`` images of a split."""
    return split if count is None else Split(split.images[:count], split.labels[:count])


def in_batches(function: Any, images: np.ndarray) -> np.ndarray:
    """Apply a model to uint8 images (N, H, W, C), scaled to [0, 1], a thousand at a time."""
    pieces = (images[i : i + EVALUATION_BATCH] for i in range(0, len(images), EVALUATION_BATCH))
    results = [function(piece.astype(np.float32) / np.float32(255.0)) for piece in pieces]
    return np.concatenate([keras.ops.convert_to_numpy(result) for result in results])


def shuffled(data: Split, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Index arrays of the full batches of one epoch."""
    order = rng.permutation(len(data))
    for start in range(0, len(data) - batch + 1, batch):
        yield order[start : start + batch]


def _batches(
    data: Split, batch: int, how: Augmentation, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for chosen in shuffled(data, batch, rng):
        yield augment(data.images[chosen], how, rng), data.labels[chosen]


def dataset_of(info: RunInfo, data_dir: str | Path | None = None) -> Dataset:
    """The data set a run was trained on."""
    return load_dataset(info.dataset, data_dir=data_dir)
