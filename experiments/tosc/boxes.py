"""What the jobs of the second task do: a detector is trained, codecs learn boxes, both are measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from experiments.resolve import digest
from experiments.tosc.bench import Bench, Outcome
from experiments.tosc.measuring import Condition, Measured, noise_rng
from experiments.tosc.results import Row
from experiments.work import finished
from semflash.data.dataset import Dataset, Split
from semflash.data.registry import load_dataset
from semflash.training.alone.detector import DetectorAnswers
from semflash.training.alone.run import train_own
from semflash.training.models import TrainedCodec, load_run
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.task import TrainedTask, train_task_network


def detector(bench: Bench) -> Outcome:
    """The teacher: its mAP without any channel, and its size."""
    task = trained_detector(bench)
    data = load_dataset(task.info.dataset)
    scores = {name: task.accuracy(getattr(data, name)) for name in ("val", "test")}
    answers = DetectorAnswers(task, data, _recipe(bench).augmentation, 0)
    figures: dict[str, Any] = {"map50": scores, "weights_bytes": answers.record()["weights_bytes"]}
    return Outcome(figures=figures, training_s=bench.trained_s(detector_folder(bench)))


def boxes(bench: Bench) -> Outcome:
    """A codec: mAP on the test split at every ratio, averaged over noise realisations."""
    trained = codec(bench)
    wanted, data = bench.study.settings["measure"], bench.data()
    rows = list(rows_of(trained.codec, data.test, wanted["levels"], wanted["repeats"]))
    figures = {
        "nats": trained.info.results["nats"],
        "parameters": {
            name: sum(int(np.prod(weight.shape)) for weight in part.weights)
            for name, part in trained.codec.parts().items()
        },
    }
    record = trained.info.recipe.get("teacher_record")
    return Outcome(rows, figures | ({"detector": record} if record else {}), bench.trained_s())


def rows_of(codec: Any, split: Split, levels: list[float], repeats: int) -> Iterator[Row]:
    """mAP at IoU 0.5 at each level; every codec meets the same noise at a level."""
    measured = Measured(codec, split, "test", repeats)
    for level in levels:
        rng, scores = noise_rng(level), []
        for _ in range(repeats):
            noise = rng.random((len(split), *codec.noise_shape()), dtype=np.float32)
            maps = measured.logits(measured.maps, noise, Condition(level))
            scores.append(codec.purpose.score(split.labels, maps))
        yield Row("test", measured.channel, level, float(np.mean(scores)), len(split), repeats)


def codec(bench: Bench) -> TrainedCodec:
    """Trained now, further trained, or as it is where it is finished."""
    if finished(bench.folder):
        return load_run(bench.folder)
    answers = None
    if "task" in bench.study.settings:
        data: Dataset = bench.data()
        answers = DetectorAnswers(trained_detector(bench), data, bench.recipe.augmentation, bench.recipe.seed)
    return train_own(bench.recipe, bench.folder, progress=bench.progress, answers=answers)


def trained_detector(bench: Bench) -> TrainedTask:
    """The teacher that the settings describe; it is trained once."""
    return train_task_network(_recipe(bench), detector_folder(bench), progress=bench.progress)


def detector_folder(bench: Bench) -> Path:
    """Where it is trained."""
    return bench.work / "detectors" / digest(bench.study.settings["task"])


def _recipe(bench: Bench) -> TaskRecipe:
    return msgspec.convert(bench.study.settings["task"], TaskRecipe)
