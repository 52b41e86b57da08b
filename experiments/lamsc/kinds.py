"""What each kind of job does: train, measure, give rows and figures back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from experiments.lamsc import names
from experiments.lamsc.channel import with_errors
from experiments.lamsc.coded import Coded
from experiments.lamsc.knowledge import Knowledge
from experiments.lamsc.results import Result, Row
from experiments.studies.doing import result_of
from experiments.studies.study import Study
from experiments.work import finished
from semflash.codecs.lamsc.codec import Lamsc
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.segments.evidence import Rule
from semflash.training.alone.run import train_own
from semflash.training.models import TrainedCodec, load_run
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.task import TrainedTask, load_task, train_task_network


@dataclass
class Outcome:
    """What a job found; see :class:`experiments.lamsc.results.Result`."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    training_s: float = 0.0


@dataclass(frozen=True)
class Bench:
    """What a job works with.

    Attributes:
        study: The job.
        work: Trained networks; ignored by git: ``task`` is the task network's run.
        progress: Of trainings.
    """

    study: Study
    work: Path
    progress: Progress = field(default_factory=Progress)

    def task(self) -> TrainedTask:
        """Trained now, or as it is where it is finished."""
        if finished(self.work / "task"):
            return load_task(self.work / "task")
        recipe = msgspec.convert(self.study.settings["task"], TaskRecipe)
        return train_task_network(recipe, self.work / "task", progress=self.progress)

    @property
    def recipe(self) -> CodecRecipe:
        """Of the codec."""
        return msgspec.convert(self.study.settings["recipe"], CodecRecipe)

    @property
    def folder(self) -> Path:
        """Of the codec's run."""
        return self.work / self.study.of

    def data(self) -> Dataset:
        """All splits."""
        return load_dataset(str(self.study.settings["task"]["dataset"]))

    def run(self) -> TrainedCodec:
        """The codec's run: trained now, further trained, or as it is where it is finished."""
        if finished(self.folder):
            return load_run(self.folder)
        self.task()
        return train_own(self.recipe, self.folder, progress=self.progress, task_dir=self.work / "task")

    def codec(self) -> Lamsc:
        """The codec of :meth:`run`."""
        found = self.run().codec
        assert isinstance(found, Lamsc)  # the plan has no other family
        return found

    def coded(self) -> Coded:
        """The codec on the test images."""
        return Coded(self.codec(), self.data().test, "test")

    def trained_s(self, folder: Path) -> float:
        """What the epochs took, seconds, however often the training was stopped."""
        path = folder / "history.json"
        records = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return float(sum(record["seconds"] for record in records))


def knowledge(bench: Bench) -> Outcome:
    """A segment knowledge base against the exact masks."""
    settings = bench.study.settings
    task = bench.task()
    base = Knowledge(settings["base"], settings["images"], str(settings["task"]["dataset"]), bench.progress)
    plain = settings["rule"]
    rule = Rule(plain["large"], plain["gain"], plain["most"])
    base.weigh(bench.work / "task", rule)
    rows = list(base.evidence_rows(rule))
    rows += [base.attention_row(parts, settings) for parts in settings.get("attention", ())]
    if "student" in settings:
        rows.append(base.student_row(settings["student"]))
    figures = base.figures() | {"task_accuracy": task.accuracy(base.data.test)}
    return Outcome(rows, figures, bench.trained_s(bench.work / "task"))


def codec(bench: Bench) -> Outcome:
    """Train a codec; then every way to spend the bytes, with and without the restoring network."""
    run = bench.run()
    coded = bench.coded()
    rows = [*coded.rows(), *coded.sweep()]
    return Outcome(rows, {"training": run.info.results}, bench.trained_s(bench.folder))


def image_formats(bench: Bench) -> Outcome:
    """JPEG and WebP at the same bytes."""
    return Outcome(list(bench.coded().format_rows()))


def errors(bench: Bench) -> Outcome:
    """Bit errors on payloads of the int8 device."""
    found = list(
        with_errors(
            bench.codec(),
            bench.data(),
            bench.coded(),
            names.ERRORS_AT,
            names.BERS,
            bench.study.settings["images"],
        )
    )
    return Outcome([row for row, _ in found], {str(row.ber): more for row, more in found})


KINDS: dict[str, Callable[[Bench], Outcome]] = {
    "knowledge": knowledge,
    "codec": codec,
    "formats": image_formats,
    "errors": errors,
}


def execute(bench: Bench) -> Result:
    """Do a job.

    Raises:
        SemflashError: Training or measuring is refused.
    """
    study = bench.study
    return result_of(study, lambda: KINDS[study.kind](bench), Result)
