"""Training of a codec whose family needs no task network: ``train_own(recipe, out_dir)``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from semflash import atomic
from semflash.codecs import registry
from semflash.codecs.own_training import Answers, Bench, OwnStage, OwnTraining
from semflash.codecs.registry import create, family_of, sizes_of
from semflash.data.dataset import Dataset, Split
from semflash.data.registry import load_dataset
from semflash.data.summary import summary
from semflash.errors import UsageError
from semflash.outputs.chance import Chance
from semflash.teachers.attention_store import AttentionStore, is_attention, load
from semflash.teachers.store import find_store
from semflash.training.alone.detector import detector_in, task_run_in
from semflash.training.alone.device import OwnDevice
from semflash.training.distribution import ALONE, Distribution
from semflash.training.loop import StagePlan, fingerprint_of, run_stages
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.rates import RateRow, rates_of
from semflash.training.recipes.recipe import TF_DATA, CodecRecipe
from semflash.training.run_dir import RunInfo, reached, save_weights
from semflash.training.task import TrainedTask, check_batch, limited, load_task, tell_steps

#: Side of the images of a folder, where the recipe's sizes name none.
SIDE = 32


def trains_alone(recipe: CodecRecipe) -> bool:
    """Whether the family of a recipe trains without a task network.

    Raises:
        UsageError: There is no such family.
    """
    return registry.trains_alone(recipe.family)


def data_of(recipe: CodecRecipe, data_dir: str | Path | None = None) -> Dataset:
    """The data set of a recipe whose family needs no task network."""
    shape = recipe.sizes.get("image_shape", (SIDE, SIDE))
    size = int(shape[0]), int(shape[1])
    return load_dataset(recipe.dataset, data_dir=data_dir, image_size=size, skip_bad=recipe.skip_bad)


def sizes_for(recipe: CodecRecipe, data: Dataset) -> dict[str, Any]:
    """Fields of the sizes of a codec: what the data set says, and over it what the recipe says."""
    told = {"image_shape": data.image_shape, "classes": len(data.class_names), "ber": recipe.ber}
    return told | recipe.sizes


def rates_alone(recipe: CodecRecipe, data_dir: str | Path | None = None) -> list[RateRow]:
    """What an image costs with the recipe of a family that needs no task network."""
    return rates_of(sizes_of(recipe.family, sizes_for(recipe, data_of(recipe, data_dir))))


def train_own(
    recipe: CodecRecipe,
    out_dir: str | Path,
    *,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
    distribution: Distribution = ALONE,
    answers: Answers | None = None,
    task_dir: str | Path | None = None,
) -> TrainedCodec:
    """Train a codec without a task network, or go on with a stopped run in the same directory.

    Writes what :func:`semflash.training.codec.train_codec` writes.

    Args:
        answers: of a teacher; None: those of the store that the recipe names, if it names one.
        task_dir: run of the task network that the recipe names; None: it names none.

    Raises:
        DatasetError: the data set is missing or malformed.
        TrainingError: the directory holds another recipe's run, or the loss is no longer finite.
        UsageError: the recipe asks for what the family or the backend cannot do, or the teacher's answers are
            of other data.
    """
    out, shown = Path(out_dir), progress or Progress()
    check_own(recipe, distribution)
    out.mkdir(parents=True, exist_ok=True)
    data = data_of(recipe, data_dir)
    for line in summary(data):
        shown.say(line)
    check_batch(data.train, recipe.train_images, recipe.batch)
    attention = _attention(recipe, data)
    answers = answers or (None if attention else _answers(recipe, data))
    task = None if task_dir is None else load_task(task_dir)
    described: dict[str, Any] = dataclasses.asdict(recipe) | _teacher(attention or answers) | _task(task)
    described["start"] = Path(recipe.start).name  # where the user's file lies concerns nobody
    keras.utils.set_random_seed(recipe.seed)
    codec = create(recipe.family, sizes_for(recipe, data))
    described["built_sizes"] = codec.sizes.plain()
    trained = TrainedCodec(codec, None, RunInfo.start("codec", described, data, recipe.seed))
    run = OwnRun(recipe, trained, data, answers, out, shown, task, attention)
    plans = run.plans()
    tell_steps(sum(plan.epochs * plan.steps for plan in plans), recipe, "--set", shown)
    run_stages(plans, out, seed=recipe.seed, fingerprint=fingerprint_of(described), progress=shown)
    return run.finish()


def _answers(recipe: CodecRecipe, data: Dataset) -> Answers | None:
    """Those of the store or detector that the recipe names. TeacherError: there is none, or it is of other
    data."""
    if not recipe.teacher:
        return None
    network = task_run_in(Path(recipe.teacher))
    if network is not None:
        return detector_in(network, data, recipe.augmentation, recipe.seed)
    return find_store(recipe.teacher, data)


def _attention(recipe: CodecRecipe, data: Dataset) -> AttentionStore | None:
    """What the recipe's teacher attends to, for families that learn from that; None: it names no teacher.

    Raises:
        TeacherError: Nothing is stored there, or the answers of a classifier, or it is of other images.
        UsageError: It is an attention, and the family learns from answers.
    """
    training = family_of(recipe.family).training
    attends = training is not None and training.attends
    if recipe.teacher and attends:
        return load(recipe.teacher, data)
    if recipe.teacher and is_attention(Path(recipe.teacher)):
        raise UsageError(
            f"the family {recipe.family} learns from a teacher's answers, and this is its attention",
            value=recipe.teacher,
            remedy="semflash teach without --attention",
        )
    return None


def _teacher(answers: Answers | AttentionStore | None) -> dict[str, Any]:
    """What the run says of the teacher: its name, for where its store lies concerns nobody, and its
    record."""
    if answers is None:
        return {"teacher": ""}
    record = answers.plain() if isinstance(answers, AttentionStore) else answers.record()
    return {"teacher": str(record["name"]), "teacher_record": record}


def _task(task: TrainedTask | None) -> dict[str, Any]:
    """What the run says of the task network that it learns from."""
    return {} if task is None else {"task_recipe": task.info.recipe, "task_results": task.info.results}


def check_own(recipe: CodecRecipe, distribution: Distribution = ALONE) -> None:
    """UsageError: what training without a task network does not do."""
    if recipe.pipeline == TF_DATA:
        raise UsageError(
            f"the family {recipe.family} makes batches of its own",
            value=recipe.pipeline,
            remedy='pipeline="numpy"',
        )
    training = family_of(recipe.family).training
    if recipe.start and not (training is not None and training.starts):
        raise UsageError(
            f"the family {recipe.family} begins at random: start takes codecs on top of a task network",
            value=recipe.start,
            remedy="--set start=",
        )
    if distribution.workers > 1 or distribution.replicas > 1:
        raise UsageError(f"the family {recipe.family} trains on one device", remedy="leave out --distribute")
    for field in ("usage_weight", "xai_weight", "xai_code_weight"):
        if getattr(recipe, field):
            raise UsageError(
                f"the family {recipe.family} learns without a task network, whose features this term is of",
                value=f"{field}={getattr(recipe, field)}",
                remedy=f"{field}=0",
            )
    _check_unused(recipe)
    if recipe.int8_epochs and keras.backend.backend() != "tensorflow":
        raise UsageError(
            "the stage on the device's numbers quantises with TensorFlow",
            value=f"KERAS_BACKEND={keras.backend.backend()}",
            remedy="KERAS_BACKEND=tensorflow, or int8_epochs=0",
        )


def _check_unused(recipe: CodecRecipe) -> None:
    """UsageError: a field is set that the family's training does not read; its default and 0 say nothing."""
    training = family_of(recipe.family).training
    defaults = {field.name: field.default for field in dataclasses.fields(CodecRecipe)}
    for name in () if training is None else training.unused:
        value = getattr(recipe, name)
        if value and value != defaults[name]:
            raise UsageError(
                f"the training of the family {recipe.family} does not read this field of the recipe",
                value=f"{name}={value}",
                remedy=f"leave {name} out",
            )


class OwnRun:
    """One run: what is trained, on what, and where it goes."""

    def __init__(
        self,
        recipe: CodecRecipe,
        trained: TrainedCodec,
        data: Dataset,
        answers: Answers | None,
        out: Path,
        progress: Progress,
        task: TrainedTask | None = None,
        attention: AttentionStore | None = None,
    ) -> None:
        self.recipe, self.trained, self.data, self.out, self.progress = recipe, trained, data, out, progress
        self.task, self.attention = task, attention
        self.train: Split = limited(data.train, recipe.train_images)
        self.device = OwnDevice(trained.codec, data)
        self.on_device = False
        self.own = self._own(answers)
        self.own.check()

    def _own(self, answers: Answers | None) -> OwnTraining:
        make = family_of(self.recipe.family).training
        if make is None:
            raise UsageError("the family trains on top of a task network", value=self.recipe.family)
        bench = Bench(
            codec=self.trained.codec,
            recipe=self.recipe,
            data=self.data,
            train=self.train,
            answers=answers,
            device=self.device,
            out=self.out,
            say=self.progress.say,
            task=self.task,
            attention=self.attention,
        )
        return make(bench)

    def plans(self) -> list[StagePlan]:
        """The family's stages as those of the loop."""
        stages = [stage for stage in self.own.stages() if stage.epochs]
        self.on_device = any(stage.on_device for stage in stages)
        return [self._plan(stage) for stage in stages]

    def _plan(self, stage: OwnStage) -> StagePlan:
        recipe = self.recipe
        return StagePlan(
            name=stage.name,
            model=stage.model,
            epochs=stage.epochs,
            steps=stage.steps,
            batches=stage.batches,
            validate=stage.validate,
            peak=stage.peak,
            weight_decay=recipe.weight_decay,
            ema_decay=recipe.ema_decay,
            ema_every=recipe.ema_every,
            publish=functools.partial(self.publish, on_device=stage.on_device),
            frozen=stage.frozen,
        )

    def finish(self) -> TrainedCodec:
        """Measure, write run.json and weights.npz, and return the codec with its figures."""
        results = self._results(self.own.results(), self.on_device)
        best, chance = reached(results), Chance.of(self.data.val.labels)
        if best is not None and not chance.is_above(best):
            self.progress.warn_of_codec(chance.words(best))
        with atomic.several(self.out) as place:
            self.publish(results, place)
        return dataclasses.replace(self.trained, info=self.trained.info.finished(**results))

    def publish(self, results: Mapping[str, Any], place: Path, on_device: bool = False) -> None:
        """Write run.json and weights.npz of the codec as it is, so that a run can be used before its end."""
        save_weights(place, self.trained.codec.parts())
        self.trained.info.finished(**self._results(results, on_device)).save(place)

    def _results(self, results: Mapping[str, Any], on_device: bool) -> dict[str, Any]:
        """The results, and of which int8 encoder the numbers were on which the decoder was tuned."""
        return dict(results) | ({"int8_encoder_sha256": self.device.encoder_sha256} if on_device else {})
