"""What a job works with: teacher, coders, codec, each trained where it is not there yet."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from experiments.multires.measuring import Measured
from experiments.studies.study import Study
from experiments.work import finished
from semflash.codecs.multires.attention import taught
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.networks import build_classifier
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.training.alone.run import train_own
from semflash.training.models import TrainedCodec, load_run
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.run_dir import WEIGHTS_FILE
from semflash.training.task import TrainedTask, load_task, train_task_network


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

    def plain_classifier(self) -> Any:
        """The task network as it is, in one piece."""
        task = self.teacher()
        classifier = build_classifier(self.codec().sizes)
        classifier.set_weights([*task.head.get_weights(), *task.tail.get_weights()])
        return classifier

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
