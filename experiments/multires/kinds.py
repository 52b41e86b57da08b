"""What each kind of job does: train, measure, give rows and figures back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from experiments.multires import channel, names
from experiments.multires.another import another_classifier
from experiments.multires.measuring import Measured
from experiments.multires.pointing import figures, mass, on_object
from experiments.multires.results import Result, Row
from experiments.studies.doing import result_of
from experiments.studies.study import Study
from experiments.work import finished
from semflash.codecs.multires.attention import (
    attention_maps,
    best_in_common,
    smoothed,
    spearman,
    taught,
)
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.measuring import Measure
from semflash.codecs.multires.networks import build_classifier
from semflash.codecs.multires.selecting import contrast
from semflash.codecs.multires.training import transform_of
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.tasks.transformer import STRIDE
from semflash.training.alone.run import train_own
from semflash.training.models import TrainedCodec, load_run
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.run_dir import WEIGHTS_FILE
from semflash.training.task import TrainedTask, load_task, train_task_network

#: Attention of the teacher: title, followed back, mean with that to the mirror image.
ATTENTIONS = (
    ("last block", False, False),
    ("rollout", True, False),
    ("both ways round, last block", False, True),
    ("both ways round, rollout", True, True),
)


@dataclass
class Outcome:
    """What a job found; see :class:`experiments.multires.results.Result`."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    training_s: float = 0.0


@dataclass(frozen=True)
class Bench:
    """What a job works with.

    Attributes:
        study: The job.
        work: Trained networks; ignored by git: ``task`` is the teacher's run, ``codec-sN`` a codec's.
        progress: Of trainings.
    """

    study: Study
    work: Path
    progress: Progress = field(default_factory=Progress)

    @property
    def recipe(self) -> CodecRecipe:
        """Of the codec."""
        return msgspec.convert(self.study.settings["recipe"], CodecRecipe)

    @property
    def folder(self) -> Path:
        """Of the codec's run."""
        return self.work / f"codec-s{self.recipe.seed}"

    def data(self) -> Dataset:
        """All splits."""
        return load_dataset(str(self.study.settings["task"]["dataset"]))

    def teacher(self) -> TrainedTask:
        """Trained now, or as it is where it is finished."""
        if finished(self.work / "task"):
            return load_task(self.work / "task")
        recipe = msgspec.convert(self.study.settings["task"], TaskRecipe)
        return train_task_network(recipe, self.work / "task", progress=self.progress)

    def run(self) -> TrainedCodec:
        """The codec's run: trained now, further trained, or as it is where it is finished."""
        if finished(self.folder):
            return load_run(self.folder)
        recipe = dataclasses.replace(
            self.recipe, autoencoder_epochs=0, start=str(self.coders() / WEIGHTS_FILE)
        )
        return train_own(recipe, self.folder, progress=self.progress, task_dir=self.work / "task")

    def coders(self) -> Path:
        """The run whose coders serve all seeds: trained now, or as it is where it is finished."""
        folder = self.work / "coders"
        if not finished(folder):
            self.teacher()
            recipe = dataclasses.replace(self.recipe, seed=0, task_epochs=0, polish_epochs=0)
            train_own(recipe, folder, progress=self.progress, task_dir=self.work / "task")
        return folder

    def codec(self) -> Multires:
        """The codec of :meth:`run`."""
        found = self.run().codec
        assert isinstance(found, Multires)  # the plan has no other family
        return found

    def trained_s(self, folder: Path, stages: str = "") -> float:
        """What the epochs took, seconds, however often the training was stopped.

        Args:
            stages: How the names of the stages begin that count.
        """
        path = folder / "history.json"
        records = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return float(sum(each["seconds"] for each in records if each["stage"].startswith(stages)))

    def measured(self, name: str, codec: Multires) -> Measured:
        """The codec on a split."""
        split, teacher = getattr(self.data(), name), self.teacher()
        maps = taught(teacher.head, teacher.tail, split.images, codec.sizes)
        return Measured(codec, split, name, maps.reshape(len(maps), -1))


def teacher(bench: Bench) -> Outcome:
    """The transformer: accuracy, and how well its attention and the local contrast find the object."""
    task, data, found = bench.teacher(), bench.data(), {}
    for name in ("val", "test"):
        split = getattr(data, name)
        touched = on_object(split.cover)
        one: dict[str, Any] = {"accuracy": task.accuracy(split), "chance": float(touched.mean())}
        for title, rollout, mirrored in ATTENTIONS:
            maps = attention_maps(task.head, task.tail, split.images, rollout=rollout, mirrored=mirrored)
            for share in (0.0, 0.5, 0.8):
                flat = smoothed(maps, share).reshape(len(maps), -1)
                key = f"{title}, smoothed {share:g}"
                one[key] = figures(flat, touched) | {"mass": mass(flat, touched)}
        one["local contrast"] = figures(contrast(split.images, STRIDE).astype(float), touched)
        found[name] = one
    seconds = bench.trained_s(bench.work / "task") + bench.trained_s(bench.work / "task" / "first")
    return Outcome(figures=found, training_s=seconds)


def coders(bench: Bench) -> Outcome:
    """The coders of all resolutions, which serve every seed: their errors as they begin and at the end."""
    codec, data = load_run(bench.coders()).codec, bench.data()
    measure = Measure(codec, data.val)
    errors = {str(bits): measure.error_of(coder) for bits, coder in codec.coders.items()}
    found = {"mse": errors, "closed_form": closed_form(codec, data)}
    return Outcome(figures=found, training_s=bench.trained_s(bench.coders(), "level-"))


def measured(bench: Bench) -> Outcome:
    """Train a codec; then every way to spend the bits, and how alike student and teacher are."""
    results = bench.run().info.results
    codec = bench.codec()
    test = bench.measured("test", codec)
    rows = list(test.rows(codec.classifier))
    if bench.recipe.seed == 0:
        wanted = (names.STUDENT, names.STUDENT_VARIANCE)  # one of them is chosen by these
        rows += list(bench.measured("val", codec).rows(codec.classifier, wanted))
    target = test.weights[names.TEACHER].astype(float)
    scores = test.student
    found = {
        "student": figures(scores, test.touched)
        | {
            "spearman": float(spearman(scores, target).mean()),
            "best_in_common": float(best_in_common(scores, target).mean()),
        },
        "training": results,
        "distortion": [float(each) * 255**2 for each in codec.distortion],
        "parameters": {
            name: sum(int(np.prod(weight.shape)) for weight in part.weights)
            for name, part in codec.parts().items()
        },
    }
    return Outcome(rows, found, bench.trained_s(bench.folder))


def closed_form(codec: Any, data: Dataset) -> dict[str, float]:
    """Mean squared error of each coder as it begins, on the images that the trained one is measured on."""
    start = type(codec)(codec.sizes)
    transform = transform_of(data.train, codec.sizes.patch)
    measure = Measure(start, data.val)
    found = {}
    for bits, coder in start.coders.items():
        coder.begin(transform.start(bits))
        found[str(bits)] = measure.error_of(coder)
    return found


def formats(bench: Bench) -> Outcome:
    """Image formats at the same bytes, seen by the codec's tail."""
    codec = bench.codec()
    return Outcome(list(bench.measured("test", codec).format_rows(codec.classifier)))


def untuned(bench: Bench) -> Outcome:
    """The same with the task network as it is, which never saw a reconstruction."""
    codec, task = bench.codec(), bench.teacher()
    classifier = build_classifier(codec.sizes)
    classifier.set_weights([*task.head.get_weights(), *task.tail.get_weights()])
    return Outcome(list(bench.measured("test", codec).rows(classifier)))


def another(bench: Bench) -> Outcome:
    """Another classifier, without attention, on the same codec."""
    codec = bench.codec()
    data = bench.data()
    classifier = another_classifier(codec, data, bench.study.settings["steps"], bench.recipe.seed)
    wanted = (names.SINGLE, names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.CHANCE)
    rows = list(bench.measured("test", codec).rows(classifier, wanted))
    return Outcome(rows, {"parameters": classifier.count_params()})


def int8(bench: Bench) -> Outcome:
    """The device in integers: its scores against the float student's, and accuracy by rate."""
    codec, data = bench.codec(), bench.data()
    return Outcome(*channel.integers(codec, data, bench.teacher(), bench.study.settings["rates"]))


def errors(bench: Bench) -> Outcome:
    """Bit errors, with the map as it is and protected."""
    settings = bench.study.settings
    rows = channel.with_errors(bench.codec(), bench.data(), settings["rate"], settings["bers"])
    return Outcome(rows)


KINDS: dict[str, Callable[[Bench], Outcome]] = {
    "teacher": teacher,
    "coders": coders,
    "codec": measured,
    "formats": formats,
    "untuned": untuned,
    "another": another,
    "int8": int8,
    "errors": errors,
}


def execute(bench: Bench) -> Result:
    """Do a job.

    Raises:
        SemflashError: Training or measuring is refused.
    """
    study = bench.study
    return result_of(study, lambda: KINDS[study.kind](bench), Result)
