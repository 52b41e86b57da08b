"""Training of a codec on top of a task network: ``train_codec(recipe, task_dir, out_dir)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.codecs.base import Codec
from semflash.codecs.registry import create, sizes_of
from semflash.errors import TrainingError, UsageError
from semflash.training.batches import CodecBatches
from semflash.training.datasets import Dataset, load_dataset
from semflash.training.distribution import ALONE, Distribution
from semflash.training.importance import importance_of
from semflash.training.lazy_images import LazyImages
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes import TF_DATA, CodecRecipe
from semflash.training.run_dir import RunInfo, save_weights
from semflash.training.stages import AutoencoderStage, TaskStage, weights_of
from semflash.training.task import TrainedTask, limited, load_task, rebuild_tail
from semflash.training.tasknet import computing_in
from semflash.training.validation import Validation

VARIANCE_IMAGES = 1_000


def train_codec(
    recipe: CodecRecipe, task_dir: str | Path, out_dir: str | Path, *, data_dir: str | Path | None = None,
    progress: Progress | None = None, distribution: Distribution = ALONE,
) -> TrainedCodec:  # fmt: skip
    """Train a codec and fine-tune the task network's tail, or go on with a stopped run in the same directory.

    Writes ``run.json``, ``history.json``, ``weights.npz`` (averaged weights) and ``checkpoint.npz``.

    Raises:
        DatasetError: the data set is missing or malformed.
        TrainingError: no task network in ``task_dir``, it does not fit, or the loss is no longer finite.
    """
    with distribution.scope():
        return _train(
            recipe, Path(task_dir), Path(out_dir), data_dir, progress or Progress(), distribution
        )  # fmt: skip


def _train(
    recipe: CodecRecipe, task_dir: Path, out: Path, data_dir: str | Path | None, shown: Progress,
    distribution: Distribution,
) -> TrainedCodec:  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with computing_in(recipe.precision):
        teacher = load_task(task_dir)
    data = load_dataset(recipe.dataset, data_dir=data_dir, image_size=teacher.info.image_shape[:2])
    if data.image_shape != teacher.info.image_shape or list(data.class_names) != teacher.info.class_names:
        raise TrainingError("the task network was trained on another data set", value=teacher.info.dataset)
    keras.utils.set_random_seed(recipe.seed)
    codec, tail = _build(recipe, teacher)
    described = dataclasses.asdict(recipe) | {
        "built_sizes": dataclasses.asdict(codec.sizes), "task_recipe": teacher.info.recipe,
        "task_results": teacher.info.results,
    }  # fmt: skip
    trained = TrainedCodec(codec, tail, RunInfo.start("codec", described, data, recipe.seed))
    if recipe.usage_weight and type(codec).usage_loss is Codec.usage_loss:
        raise UsageError(
            f"{codec.family} has no usage term", value=recipe.usage_weight, remedy="usage_weight=0"
        )
    validation = Validation(codec, tail, data.val, shown)
    plans = _plans(
        recipe, trained, teacher, data, validation, _importance(recipe, teacher, codec, data, task_dir,
        shown),
        lambda figures: publish(trained, out, figures), distribution,
    )  # fmt: skip
    run_stages(
        plans, out, seed=recipe.seed, fingerprint=fingerprint_of(described), progress=shown,
        distribution=distribution,
    )  # fmt: skip
    if distribution.chief:
        results = {"val_accuracy": validation.accuracy_by_ber()} | validation.use_of_codes()
        publish(trained, out, results)
        trained = dataclasses.replace(trained, info=trained.info.finished(**results))
    distribution.barrier()
    return trained


def _importance(
    recipe: CodecRecipe, teacher: TrainedTask, codec: Codec, data: Dataset, task_dir: Path, shown: Progress
) -> np.ndarray | None:
    """Maps of importance of the training images, where recipe or codec ask for them."""
    if not recipe.xai_weight and not codec.needs_importance:
        return None
    train = limited(data.train, recipe.train_images)
    if recipe.pipeline == TF_DATA or isinstance(train.images, LazyImages):
        raise UsageError(
            "importance maps are kept for images in memory and the numpy pipeline",
            value=recipe.pipeline, remedy='xai_weight=0, or pipeline="numpy" and a smaller data set',
        )  # fmt: skip
    return importance_of(teacher, task_dir, train, recipe.xai_steps, recipe.xai_kind, shown)


def publish(trained: TrainedCodec, out: Path, results: dict[str, Any]) -> None:
    """Write run.json and weights.npz of the models as they are, so that a run can be used before its end."""
    save_weights(out, trained.codec.parts() | {"tail": trained.tail})
    trained.info.finished(**results).save(out)


def _build(recipe: CodecRecipe, teacher: TrainedTask) -> tuple[Codec, keras.Model]:
    """The codec and a copy of the tail."""
    features = teacher.head.output_shape[1:]
    shapes = {"image_shape": teacher.info.image_shape, "feature_shape": features}
    sizes = sizes_of(recipe.family, shapes | {"ber": recipe.ber} | recipe.sizes)
    codec = create(recipe.family, dataclasses.asdict(sizes))
    with computing_in(recipe.precision):
        tail = rebuild_tail(teacher.info.recipe, features, len(teacher.info.class_names))
    tail.set_weights(teacher.tail.get_weights())
    return codec, tail


def _plans(
    recipe: CodecRecipe, trained: TrainedCodec, teacher: TrainedTask, data: Dataset, validation: Validation,
    importance: np.ndarray | None, publish_figures: Callable[[dict[str, float]], None],
    distribution: Distribution,
) -> list[StagePlan]:  # fmt: skip
    codec, tail = trained.codec, trained.tail
    train = limited(data.train, recipe.train_images)
    sample = train.images[:VARIANCE_IMAGES].astype(np.float32) / 255.0
    variance = float(np.var(keras.ops.convert_to_numpy(teacher.head(sample, training=False))))
    batches: Any = CodecBatches(train, recipe, codec.noise_shape(), importance, teacher.kind)
    if recipe.pipeline == TF_DATA:
        from semflash.training.tf_batches import ChannelInputs, TfBatches

        channel = ChannelInputs(recipe.ber, codec.noise_shape(), recipe.estimate_noise)
        batches = TfBatches(
            train, recipe.batch, recipe.augmentation, channel, distribution.rank, distribution.workers
        )

    def plan(name: str, uses_task: bool, epochs: int, peak: float) -> StagePlan:
        model: keras.Model = AutoencoderStage(codec, teacher.head, variance, name=name)
        if uses_task:
            model = TaskStage(
                codec,
                tail,
                teacher.head,
                teacher.tail,
                variance,
                weights_of(recipe),
                name=name,
                kind=teacher.kind,
            )
        return StagePlan(
            name=name, model=model, epochs=epochs, steps=len(train) // recipe.batch, peak=peak,
            batches=batches, validate=validation.epoch if uses_task else validation.use_of_codes,
            weight_decay=recipe.weight_decay, ema_decay=recipe.ema_decay,
            publish=publish_figures if uses_task else None, local=recipe.pipeline == TF_DATA,
            ema_every=recipe.ema_every,
        )  # fmt: skip

    plans = [
        plan(stage.name, True, recipe.task_epochs, recipe.task_peak) if stage.uses_task
        else plan(stage.name, False, recipe.autoencoder_epochs, recipe.peak)
        for stage in codec.stages()
    ]  # fmt: skip
    if recipe.polish_epochs:
        plans.append(plan("polish", True, recipe.polish_epochs, recipe.polish_peak))
    return [plan for plan in plans if plan.epochs]
