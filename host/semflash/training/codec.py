"""Training of a codec on top of a task network: ``train_codec(recipe, task_dir, out_dir)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.codecs.base import Codec
from semflash.codecs.layers.channel import BerRange
from semflash.codecs.registry import create, sizes_of
from semflash.errors import TrainingError
from semflash.training.augment import augment
from semflash.training.datasets import Dataset, Split, load_dataset
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.models import TrainedCodec, measure_accuracy
from semflash.training.progress import Progress
from semflash.training.recipes import CodecRecipe
from semflash.training.run_dir import RunInfo, save_weights
from semflash.training.stages import AutoencoderStage, TaskStage, weights_of
from semflash.training.task import TrainedTask, limited, load_task, rebuild_tail, shuffled

#: Bit error rates whose accuracy is reported (papers.md, section 1, and the facts' channel table).
REPORT_BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)
WATCHED_BERS = (0.0, 1e-2, 5e-2)
VARIANCE_IMAGES = 1_000
CHANNEL_SEED = 1


def train_codec(
    recipe: CodecRecipe, task_dir: str | Path, out_dir: str | Path, *, data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> TrainedCodec:  # fmt: skip
    """Train a codec and fine-tune the task network's tail, or go on with a stopped run in the same directory.

    Writes ``run.json``, ``history.json``, ``weights.npz`` (averaged weights) and ``checkpoint.npz``.

    Raises:
        DatasetError: the data set is missing or malformed.
        TrainingError: no task network in ``task_dir``, it does not fit, or the loss is no longer finite.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    teacher = load_task(task_dir)
    data = load_dataset(recipe.dataset, data_dir=data_dir)
    if data.image_shape != teacher.info.image_shape or list(data.class_names) != teacher.info.class_names:
        raise TrainingError("the task network was trained on another data set", value=teacher.info.dataset)
    keras.utils.set_random_seed(recipe.seed)
    codec, tail = _build(recipe, teacher)
    described = dataclasses.asdict(recipe) | {
        "built_sizes": dataclasses.asdict(codec.sizes), "task_recipe": teacher.info.recipe,
        "task_results": teacher.info.results,
    }  # fmt: skip
    trained = TrainedCodec(codec, tail, RunInfo.start("codec", described, data, recipe.seed))
    plans = _plans(recipe, trained, teacher, data, lambda figures: publish(trained, out, figures))
    run_stages(
        plans, out, seed=recipe.seed, fingerprint=fingerprint_of(described), progress=progress or Progress()
    )
    results = {"val_accuracy": accuracy_by_ber(codec, tail, data.val)}
    publish(trained, out, results)
    info = trained.info.finished(**results)
    return dataclasses.replace(trained, info=info)


def publish(trained: TrainedCodec, out: Path, results: dict[str, Any]) -> None:
    """Write run.json and weights.npz of the models as they are, so that a run can be used before its end."""
    save_weights(out, trained.codec.parts() | {"tail": trained.tail})
    trained.info.finished(**results).save(out)


def accuracy_by_ber(codec: Codec, tail: keras.Model, split: Split) -> dict[str, float]:
    """Float accuracy (share) at each reported BER; the keys are the BERs as text."""
    return {
        f"{ber:g}": measure_accuracy(codec, tail, split.images, split.labels, ber, seed=CHANNEL_SEED)
        for ber in REPORT_BERS
    }


def _build(recipe: CodecRecipe, teacher: TrainedTask) -> tuple[Codec, keras.Model]:
    """The codec and a copy of the tail."""
    features = teacher.head.output_shape[1:]
    shapes = {"image_shape": teacher.info.image_shape, "feature_shape": features}
    sizes = sizes_of(recipe.family, shapes | {"ber": recipe.ber} | recipe.sizes)
    codec = create(recipe.family, dataclasses.asdict(sizes))
    tail = rebuild_tail(teacher.info.recipe, features, len(teacher.info.class_names))
    tail.set_weights(teacher.tail.get_weights())
    return codec, tail


def _plans(
    recipe: CodecRecipe, trained: TrainedCodec, teacher: TrainedTask, data: Dataset,
    publish_figures: Callable[[dict[str, float]], None],
) -> list[StagePlan]:  # fmt: skip
    codec, tail = trained.codec, trained.tail
    train = limited(data.train, recipe.train_images)
    sample = train.images[:VARIANCE_IMAGES].astype(np.float32) / 255.0
    variance = float(np.var(keras.ops.convert_to_numpy(teacher.head(sample, training=False))))

    def watched() -> dict[str, float]:
        split = data.val
        return {
            f"val_{ber:g}": measure_accuracy(codec, tail, split.images, split.labels, ber, seed=CHANNEL_SEED)
            for ber in WATCHED_BERS
        }

    def plan(name: str, uses_task: bool, epochs: int, peak: float) -> StagePlan:
        model: keras.Model = AutoencoderStage(codec, teacher.head, variance, name=name)
        if uses_task:
            model = TaskStage(
                codec, tail, teacher.head, teacher.tail, variance, weights_of(recipe), name=name
            )
        return StagePlan(
            name=name, model=model, epochs=epochs, steps=len(train) // recipe.batch, peak=peak,
            batches=lambda rng: _batches(train, recipe, codec.noise_shape(), recipe.ber, rng),
            validate=watched if uses_task else dict, weight_decay=recipe.weight_decay,
            ema_decay=recipe.ema_decay, publish=publish_figures if uses_task else None,
        )  # fmt: skip

    plans = [
        plan(stage.name, True, recipe.task_epochs, recipe.task_peak) if stage.uses_task
        else plan(stage.name, False, recipe.autoencoder_epochs, recipe.peak)
        for stage in codec.stages()
    ]  # fmt: skip
    if recipe.polish_epochs:
        plans.append(plan("polish", True, recipe.polish_epochs, recipe.polish_peak))
    return [plan for plan in plans if plan.epochs]


def _batches(
    data: Split, recipe: CodecRecipe, noise_shape: tuple[int, ...], ber: BerRange, rng: np.random.Generator
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    for chosen in shuffled(data, recipe.batch, rng):
        inputs = {
            "image": augment(data.images[chosen], recipe.augmentation, rng),
            "ber": ber.sample(len(chosen), rng),
            "noise": rng.random((len(chosen), *noise_shape), dtype=np.float32),
        }
        yield inputs, data.labels[chosen]
