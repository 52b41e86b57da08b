"""Training of the task network: ``train_task_network(recipe, out_dir)`` and ``load_task(out_dir)``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash import atomic
from semflash.data.augment import Augmentation
from semflash.data.dataset import Dataset, Split
from semflash.data.recorded import load_recorded
from semflash.data.registry import load_dataset
from semflash.data.source import source_of
from semflash.data.summary import summary
from semflash.errors import TrainingError, UsageError
from semflash.outputs.chance import REMEDY, Chance
from semflash.tasks.kinds import TaskKind
from semflash.tasks.networks import build, keep, restore
from semflash.tasks.registry import kind_of
from semflash.tasks.residual import TaskNetwork, computing_in
from semflash.training.chance_watch import ChanceWatch
from semflash.training.distribution import ALONE, Distribution
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import task_recipe
from semflash.training.recipes.recipe import TF_DATA, CodecRecipe, TaskRecipe
from semflash.training.run_dir import WEIGHTS_FILE, RunInfo, load_weights, save_weights

EVALUATION_BATCH = 1_000
#: Folder, within that of a run, of the run that it begins with.
FIRST_DIR = "first"
#: Batch that is proposed for few images.
SMALL_BATCH = 16
#: Numbers in the images of one evaluated batch; large images come in smaller batches.
EVALUATION_VALUES = 12 << 20


@dataclasses.dataclass(frozen=True)
class TrainedTask:
    """A trained task network: head (images to features), tail (features to logits) and where it came from."""

    head: keras.Model
    tail: keras.Model
    info: RunInfo

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, classes), or a detector's maps, of uint8 images (N, H, W, C)."""
        return in_batches(lambda x: self.tail(self.head(x, training=False), training=False), images)

    def accuracy(self, split: Split) -> float:
        """The task's figure of merit, 0..1: share of right labels, or mAP of a detector."""
        return self.kind.score(split.labels, self.logits(split.images))

    @property
    def kind(self) -> TaskKind:
        """What the network is for."""
        return kind_of(self.tail, self.info.image_shape)


def train_task_network(
    recipe: TaskRecipe,
    out_dir: str | Path,
    *,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
    distribution: Distribution = ALONE,
) -> TrainedTask:
    """Train head and tail, or go on with a stopped run in the same directory.

    Writes ``run.json``, ``history.json``, ``weights.npz`` (averaged weights), ``checkpoint.npz`` and, of a
    network that its recipe does not describe, ``network.json``.

    Raises:
        DatasetError: the data set is missing or malformed.
        UsageError: no such network, or it does not take these images.
        TrainingError: the directory holds another recipe's checkpoint, a weights or model file is missing or
            does not fit, or the loss is no longer finite.
    """
    with distribution.scope():
        return _train(recipe, Path(out_dir), data_dir, progress or Progress(), distribution)


def _train(
    recipe: TaskRecipe, out: Path, data_dir: str | Path | None, progress: Progress, distribution: Distribution
) -> TrainedTask:
    out.mkdir(parents=True, exist_ok=True)
    data = _data_of(recipe, data_dir)
    for line in summary(data):
        progress.say(line)
    check_batch(data.train, recipe.train_images, recipe.batch)
    train = limited(data.train, recipe.train_images)
    started = _first(recipe, out, data_dir, progress, distribution)
    keras.utils.set_random_seed(recipe.seed)
    described = dataclasses.asdict(recipe) | started
    with computing_in(recipe.precision):
        head, tail = build(described, data.image_shape, len(data.class_names), say=progress.say)
    kept = dict(described)
    # A file of the user is told by its name: where it lies concerns nobody who gets the run or a bundle.
    described |= {field: Path(described[field]).name for field in ("weights", "model") if described[field]}
    info = RunInfo.start("task", described, data, recipe.seed)
    trained = TrainedTask(head, tail, info)
    kind = trained.kind
    kind.check(data)
    network = TaskNetwork(head, tail, kind.loss, recipe.label_smoothing)
    steps = len(train) // recipe.batch
    chance = Chance.of(data.val.labels)
    watch = ChanceWatch("task network", chance, steps, progress)
    plan = StagePlan(
        name="task",
        model=network,
        epochs=recipe.epochs,
        steps=steps,
        batches=_batches_of(recipe, kind, train, distribution),
        local=recipe.pipeline == TF_DATA,
        validate=watch.around(lambda: {f"val_{kind.metric}": trained.accuracy(data.val)}),
        peak=recipe.peak,
        weight_decay=recipe.weight_decay,
        ema_decay=recipe.ema_decay,
        ema_every=recipe.ema_every,
    )
    tell_steps(plan.epochs * plan.steps, recipe, "--task-set", progress)
    run_stages(
        [plan],
        out,
        seed=recipe.seed,
        fingerprint=fingerprint_of(info.recipe),
        progress=progress,
        distribution=distribution,
    )
    if distribution.chief:
        reached = trained.accuracy(data.val)
        info = info.finished(**{f"val_{kind.metric}": reached})
        with atomic.several(out) as place:
            keep(place, kept, head=head, tail=tail)
            save_weights(place, {"head": head, "tail": tail})
            info.save(place)
        if not chance.is_above(reached):
            progress.warn(f"the task network has learnt nothing: {chance.words(reached)}; {REMEDY}")
    distribution.barrier()
    return dataclasses.replace(trained, info=info)


def _first(
    recipe: TaskRecipe, out: Path, data_dir: str | Path | None, progress: Progress, distribution: Distribution
) -> dict[str, str]:
    """Train what a recipe is to begin with, and name its weights; nothing where it begins with none, or with
    a file."""
    if not recipe.first or recipe.weights:
        return {}
    before = dataclasses.replace(task_recipe(recipe.first), seed=recipe.seed)
    train_task_network(
        before, out / FIRST_DIR, data_dir=data_dir, progress=progress, distribution=distribution
    )
    return {"weights": str(out / FIRST_DIR / WEIGHTS_FILE)}


def load_task(out_dir: str | Path) -> TrainedTask:
    """Load what :func:`train_task_network` wrote.

    Raises:
        TrainingError: not a finished run of a task network.
    """
    out = Path(out_dir)
    info = RunInfo.load(out)
    if info.kind != "task":
        raise TrainingError("not the run of a task network", value=out, remedy="name its directory")
    try:
        head, tail = restore(out, info.recipe, info.image_shape, len(info.class_names))
    except KeyError as error:
        raise TrainingError(f"run.json lacks {error}", value=out, remedy="train again") from error
    load_weights(out, {"head": head, "tail": tail})
    return TrainedTask(head, tail, info)


def shapes_of(
    recipe: TaskRecipe, *, data_dir: str | Path | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of image and split features that a recipe will have; nothing is trained, no weights are read."""
    data = _data_of(recipe, data_dir)
    described = dataclasses.asdict(recipe) | {"weights": ""}
    head, _ = build(described, data.image_shape, len(data.class_names))
    return tuple(head.input_shape[1:]), tuple(head.output_shape[1:])


def _data_of(recipe: TaskRecipe, data_dir: str | Path | None) -> Dataset:
    size = (recipe.image_size, recipe.image_size)
    return load_dataset(recipe.dataset, data_dir=data_dir, image_size=size, skip_bad=recipe.skip_bad)


def check_batch(train: Split, train_images: int | None, batch: int) -> None:
    """UsageError: a batch is larger than what is trained on, so that an epoch would have no step."""
    count = len(train) if train_images is None else min(train_images, len(train))
    if count < batch:
        raise UsageError(
            f"a batch of {batch} images is more than the {count} to train on",
            value=f"batch={batch}",
            remedy="more images, or --task-set batch=8 (task network) and --set batch=8 (codec)",
        )


#: Fewer steps than this hardly teach a network anything; it is said before they are made.
STEPS_FEW = 200


def tell_steps(steps: int, recipe: TaskRecipe | CodecRecipe, flag: str, progress: Progress) -> None:
    """Say beforehand that a training on few images will come to little, and what changes that."""
    if steps < STEPS_FEW and recipe.batch > SMALL_BATCH:
        progress.say(
            f"note: {steps:,} steps in all, with {recipe.batch} images each: too few to learn much; "
            f"{flag} batch={SMALL_BATCH} makes it {steps * recipe.batch // SMALL_BATCH:,}"
        )


def limited(split: Split, count: int | None) -> Split:
    """The first ``count`` images of a split."""
    return split if count is None else Split(split.images[:count], split.labels[:count])


def evaluation_batch(image_shape: tuple[int, ...]) -> int:
    """Images that are evaluated at a time: a thousand, fewer where they are large."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // math.prod(image_shape)))


def in_batches(function: Any, images: np.ndarray) -> np.ndarray:
    """Apply a model to uint8 images (N, H, W, C), scaled to [0, 1], as many at a time as fit."""
    batch = evaluation_batch(images.shape[1:])
    pieces = (images[i : i + batch] for i in range(0, len(images), batch))
    results = [function(piece.astype(np.float32) / np.float32(255.0)) for piece in pieces]
    return np.concatenate([keras.ops.convert_to_numpy(result) for result in results])


def shuffled(data: Split, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Index arrays of the full batches of one epoch."""
    order = rng.permutation(len(data))
    for start in range(0, len(data) - batch + 1, batch):
        yield order[start : start + batch]


def _batches_of(recipe: TaskRecipe, kind: TaskKind, train: Split, distribution: Distribution) -> Any:
    """Batches of an epoch from its generator, by the recipe's pipeline."""
    if recipe.pipeline == TF_DATA:
        from semflash.training.tf_batches import TfBatches

        return TfBatches(
            train, recipe.batch, recipe.augmentation, rank=distribution.rank, workers=distribution.workers
        )
    return lambda rng: _batches(kind, train, recipe.batch, recipe.augmentation, rng)


def _batches(
    kind: TaskKind, data: Split, batch: int, how: Augmentation, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for chosen in shuffled(data, batch, rng):
        yield kind.batch(data.images[chosen], data.labels[chosen], how, rng)


def dataset_of(info: RunInfo, data_dir: str | Path | None = None, named: str | None = None) -> Dataset:
    """The data set a run was trained on.

    Args:
        named: where a folder is now, if it was moved; its list of files must be that of the training.

    Raises:
        DatasetError: it is gone, or another.
    """
    source, size = source_of(info.data), info.image_shape[:2]
    skip_bad = bool(info.recipe.get("skip_bad", False))
    if named is None and source is not None:
        return load_recorded(source, image_size=size, data_dir=data_dir)
    known = source if source is not None and source.kind != "named" else None
    return load_dataset(
        named or info.dataset, data_dir=data_dir, image_size=size, skip_bad=skip_bad, known=known
    )
