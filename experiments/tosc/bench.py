"""What a job works with, and what it gives back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from experiments.resolve import digest
from experiments.studies.study import Study
from experiments.tosc.results import Row
from experiments.work import finished
from semflash.data.dataset import Dataset
from semflash.training.alone.run import data_of, train_own
from semflash.training.models import TrainedCodec, load_run
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe


@dataclass
class Outcome:
    """What a job found; see :class:`experiments.tosc.results.Result`."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    training_s: float = 0.0


@dataclass(frozen=True)
class Bench:
    """What a job works with.

    Attributes:
        study: the job.
        work: trained codecs; ignored by git.
        progress: of trainings.
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
        """Of the codec's run, the same for every job that measures it."""
        decides = {key: self.study.settings[key] for key in ("recipe", "sizes")}
        return self.work / "codecs" / f"{self.study.of or self.study.name}-{digest(decides)}"

    def data(self) -> Dataset:
        """All splits."""
        return data_of(self.recipe)

    def trained_s(self, folder: Path | None = None) -> float:
        """What the epochs took, seconds, however often the training was stopped."""
        path = (folder or self.folder) / "history.json"
        records = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return float(sum(record["seconds"] for record in records))

    def codec(self) -> TrainedCodec:
        """Trained now, further trained, or as it is where it is finished."""
        if finished(self.folder):
            return load_run(self.folder)
        return train_own(self.recipe, self.folder, progress=self.progress)
