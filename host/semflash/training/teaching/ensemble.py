"""A teacher of several task networks that differ in their seeds: for images that no published network knows.

The mean of their probabilities is more often right than one of them, and tells which classes are alike
(Lakshminarayanan et al., arXiv 1612.01474). The networks lie in the store's folder, each a run directory, and
go on training where they were stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from semflash.teachers.answers import log_softmax
from semflash.teachers.base import LOGITS, Plan
from semflash.teachers.manifest import TeacherRecord
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.run_dir import WEIGHTS_FILE
from semflash.training.task import TrainedTask, train_task_network

#: Of the first network; a task network that is trained for a codec has seed 0.
FIRST_SEED = 1_001
FOLDER = "networks"


class EnsembleTeacher:
    """Asks trained task networks; ``record`` as of every teacher."""

    def __init__(self, record: TeacherRecord, networks: list[TrainedTask]) -> None:
        self.record, self._networks = record, networks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (n, classes): logarithm of the mean probability, of uint8 images (n, H, W, C)."""
        answers = [log_softmax(network.logits(images)) for network in self._networks]
        return mean_logits(np.stack(answers))


def mean_logits(answers: np.ndarray) -> np.ndarray:
    """Logarithm of the mean probability, float32 (n, classes), of logarithms (networks, n, classes)."""
    largest = answers.max(axis=0)
    mean: np.ndarray = np.log(np.exp(answers - largest).mean(axis=0)) + largest
    return mean.astype(np.float32)


def plan_ensemble(recipe: TaskRecipe, count: int, data_dir: Path | None, progress: Progress) -> Plan:
    """Networks with seeds from 1,001 on; they are trained, or read, when the teacher starts.

    Its digest is that of the recipe and the seeds, which decide the weights.
    """
    recipes = [dataclasses.replace(recipe, seed=FIRST_SEED + index) for index in range(count)]
    described = json.dumps([dataclasses.asdict(one) for one in recipes], sort_keys=True, default=str)
    digest = hashlib.sha256(described.encode()).hexdigest()
    record = TeacherRecord(f"ensemble:{count}", digest, 0, LOGITS, {"recipe": recipe.name})

    def start(folder: Path) -> EnsembleTeacher:
        networks, places = [], [folder / FOLDER / f"{one.seed}" for one in recipes]
        for index, (one, place) in enumerate(zip(recipes, places, strict=True)):
            progress.say(f"network {index + 1} of {count}, seed {one.seed}")
            networks.append(train_task_network(one, place, data_dir=data_dir, progress=progress))
        size_bytes = sum((place / WEIGHTS_FILE).stat().st_size for place in places)
        return EnsembleTeacher(msgspec.structs.replace(record, weights_bytes=size_bytes), networks)

    return Plan(record, start)
