"""Training of a codec on top of a task network: ``train_codec(recipe, task_dir, out_dir)``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

from semflash.codecs.base import Codec
from semflash.codecs.registry import create, sizes_of
from semflash.codecs.start import begin_codec
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.data.summary import summary
from semflash.errors import TrainingError, UsageError
from semflash.tasks.keras.config import describe
from semflash.tasks.kinds import TaskKind
from semflash.tasks.networks import clone_tail
from semflash.tasks.residual import computing_in
from semflash.training.alone.run import train_own, trains_alone
from semflash.training.codec_plans import CodecRun, Workplace
from semflash.training.distribution import ALONE, Distribution
from semflash.training.loop import fingerprint_of, run_stages
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import TF_DATA, CodecRecipe
from semflash.training.run_dir import RunInfo
from semflash.training.task import TrainedTask, check_batch, load_task, tell_steps
from semflash.training.transfer import Transfer, attach


def train_codec(
    recipe: CodecRecipe,
    task_dir: str | Path | None,
    out_dir: str | Path,
    *,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
    transfer: Transfer | None = None,
    distribution: Distribution = ALONE,
) -> TrainedCodec:
    """Train a codec and fine-tune the task network's tail, or go on with a stopped run in the same directory.

    Writes ``run.json``, ``history.json``, ``weights.npz`` (averaged weights) and ``checkpoint.npz``.

    Args:
        task_dir: run of the task network; None for families that need none and recipes that name none.
        transfer: take the codec of another run instead of a new one; family and sizes are that run's.
        distribution: several GPUs or workers.

    Raises:
        DatasetError: the data set is missing or malformed.
        TrainingError: no task network in ``task_dir``, it does not fit, or the loss is no longer finite.
        UsageError: the recipe asks for what the family or the backend cannot do.
    """
    shown = progress or Progress()
    if trains_alone(recipe) and transfer is None:
        if task_dir is not None and not recipe.task:
            raise UsageError(f"the family {recipe.family} is trained without a task network", value=task_dir)
        return train_own(
            recipe, out_dir, data_dir=data_dir, progress=shown, distribution=distribution, task_dir=task_dir
        )
    if task_dir is None:
        raise UsageError(
            f"the family {recipe.family} is trained on top of a task network", remedy="name its directory"
        )
    with distribution.scope():
        return _train(recipe, Path(task_dir), Path(out_dir), data_dir, shown, transfer, distribution)


def _train(
    recipe: CodecRecipe,
    task_dir: Path,
    out: Path,
    data_dir: str | Path | None,
    progress: Progress,
    transfer: Transfer | None,
    distribution: Distribution,
) -> TrainedCodec:
    out.mkdir(parents=True, exist_ok=True)
    with computing_in(recipe.precision):
        teacher = load_task(task_dir)
    size = teacher.info.image_shape[:2]
    data = load_dataset(recipe.dataset, data_dir=data_dir, image_size=size, skip_bad=recipe.skip_bad)
    for line in summary(data):
        progress.say(line)
    _check_data(data, teacher)
    keras.utils.set_random_seed(recipe.seed)
    described: dict[str, Any] = dataclasses.asdict(recipe)
    if transfer is None:
        codec = _new_codec(recipe, teacher)
        if recipe.start:
            taken, total = begin_codec(codec, recipe.start)
            progress.say(f"the codec begins with {Path(recipe.start).name}: {taken} of {total} arrays")
    else:
        codec, origin = attach(transfer, teacher)
        described |= origin
    check_recipe(recipe, codec)
    check_kind(recipe, teacher.kind)
    tail = clone_tail(teacher.tail)
    described |= {
        "start": Path(recipe.start).name,  # where the user's file lies concerns nobody who gets the run
        "built_sizes": dataclasses.asdict(codec.sizes),
        "task_recipe": teacher.info.recipe,
        "task_results": teacher.info.results,
    }
    trained = TrainedCodec(codec, tail, RunInfo.start("codec", described, data, recipe.seed))
    place = Workplace(task_dir, out, progress, distribution)
    run = CodecRun(recipe, trained, teacher, data, place)
    plans = run.plans(transfer)
    if plans:
        check_batch(data.train, recipe.train_images, recipe.batch)
        tell_steps(sum(plan.epochs * plan.steps for plan in plans), recipe, "--set", progress)
    run_stages(
        plans,
        out,
        seed=recipe.seed,
        fingerprint=fingerprint_of(described),
        progress=progress,
        distribution=distribution,
    )
    return run.finish()


def check_recipe(recipe: CodecRecipe, codec: Codec) -> None:
    """UsageError: the recipe asks for what the family or the backend cannot do."""
    if recipe.teacher:
        raise UsageError(
            f"the family {recipe.family} learns from its task network, not from a teacher's stored answers",
            value=recipe.teacher,
            remedy="teacher=",
        )
    if recipe.usage_weight and "usage" not in codec.terms:
        raise UsageError(
            f"the family {codec.family} has no usage term", value=recipe.usage_weight, remedy="usage_weight=0"
        )
    if recipe.xai_code_weight and "codes" not in codec.terms:
        raise UsageError(
            f"the family {codec.family} has no term for important codes",
            value=recipe.xai_code_weight,
            remedy="xai_code_weight=0",
        )
    if recipe.xai_code_weight and recipe.xai_kind != "pixel":
        raise UsageError(
            "codes are weighed by the importance of their position",
            value=recipe.xai_kind,
            remedy="xai_kind=pixel, or xai_code_weight=0",
        )
    if recipe.xai_code_weight:  # now, not after the first stage
        codec.check_code_term()
    if codec.needs_importance and recipe.xai_kind != "pixel":
        raise UsageError(
            f"the family {codec.family} learns importance per position",
            value=recipe.xai_kind,
            remedy="xai_kind=pixel",
        )
    if recipe.int8_epochs and recipe.pipeline == TF_DATA:
        raise UsageError(
            "the stage on the device's codes keeps them in memory",
            value=recipe.pipeline,
            remedy='int8_epochs=0, or pipeline="numpy"',
        )
    if recipe.int8_epochs and keras.backend.backend() != "tensorflow":
        raise UsageError(
            "the stage on the device's codes quantises with TensorFlow",
            value=f"KERAS_BACKEND={keras.backend.backend()}",
            remedy="KERAS_BACKEND=tensorflow, or int8_epochs=0",
        )
    if recipe.int8_epochs:
        from semflash.conversion.device import check_labels

        check_labels(codec.device(), whole_graph=False)


def check_kind(recipe: CodecRecipe, kind: TaskKind) -> None:
    """UsageError: a task without a loss of labels, and a recipe that would need one."""
    if not kind.only_distils:
        return
    for field, wanted in {"distillation_weight": 1, "xai_weight": 0, "xai_code_weight": 0}.items():
        given = getattr(recipe, field)
        if (given > 0) != (wanted > 0):
            raise UsageError(
                "an imported detector has no loss of labels: the codec learns what the detector gives",
                value=f"{field}={given}",
                remedy=f"--set {field}={wanted}",
            )


def _check_data(data: Dataset, teacher: TrainedTask) -> None:
    names = list(data.class_names)
    # A network that was imported without a data set knows how many classes there are, and often no names.
    same = (
        names == teacher.info.class_names
        if teacher.info.dataset or teacher.info.results.get("named")
        else len(names) == len(teacher.info.class_names)
    )
    if data.image_shape != teacher.info.image_shape or not same:
        raise TrainingError(
            "the task network was trained on another data set",
            value=f"{teacher.info.dataset} {teacher.info.image_shape}, not {data.name} {data.image_shape}",
            remedy="--dataset, or another --task",
        )


def _new_codec(recipe: CodecRecipe, teacher: TrainedTask) -> Codec:
    shapes = {"image_shape": teacher.info.image_shape, "feature_shape": teacher.head.output_shape[1:]}
    fields = shapes | {"ber": recipe.ber} | recipe.sizes
    sizes = sizes_of(recipe.family, fields)
    if sizes.begins_with_head:
        _check_head(teacher)
        sizes = sizes_of(recipe.family, fields | {"head": describe(teacher.head)})
    codec = create(recipe.family, dataclasses.asdict(sizes))
    codec.adopt(teacher.head)
    return codec


def _check_head(teacher: TrainedTask) -> None:
    """TrainingError: an imported head that is to run on the device cannot: operators, or the generator."""
    int8 = teacher.info.results.get("int8", {})
    missing = int8.get("not_on_device", [])
    if not missing and not int8.get("refused"):
        return
    splits = " or ".join(int8.get("device_splits", []))
    again = f"import the network again with --split {splits}" if splits else "another network"
    why = f"the device has no {', '.join(missing)}" if missing else f"no device runs it: {int8['refused']}"
    raise TrainingError(
        f"the codec's encoder begins with the task network's head, and {why}",
        value=f"split {teacher.info.recipe.get('split')}",
        remedy=f"{again}, or a codec with an encoder of its own: --set sizes.encoder=staged",
    )
