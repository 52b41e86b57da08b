"""One run: train (or take what is trained), build the method, measure, give the result back."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.measure import measure
from experiments.plan import Run, Shared
from experiments.resolve import Resolved, digest, plain
from semflash import __version__
from semflash.baselines.catalogue import Budget as BaselineBudget
from semflash.baselines.catalogue import Job
from semflash.codecs.device_side import TailStage
from semflash.data.dataset import Dataset
from semflash.data.registry import DATA_DIR_VARIABLE, load_dataset
from semflash.errors import TrainingError
from semflash.report.results import Budget, Row, RunResult
from semflash.training.codec import train_codec
from semflash.training.models import TrainedCodec, encode, load_run
from semflash.training.progress import Progress
from semflash.training.recipes.catalogue import task_recipe
from semflash.training.recipes.overrides import override
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.run_dir import RunInfo, has_run
from semflash.training.task import TrainedTask, load_task, train_task_network
from semflash.training.transfer import Transfer


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        work: trained networks, checkpoints and logs; ignored by git.
        tasks: task network's name -> directory, instead of one below `work`.
        data: data set's name -> directory with its files.
        trained: finished codec runs that may be used instead of training their recipes again.
    """

    work: Path
    tasks: dict[str, Path] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    trained: tuple[Path, ...] = ()

    def task_dir(self, name: str) -> Path:
        """Directory of a task network."""
        return self.tasks.get(name, self.work / "tasks" / name)

    def data_dir(self, dataset: str) -> Path | None:
        """Directory of a data set's files; None: the usual places."""
        common = os.environ.get(DATA_DIR_VARIABLE)
        beside = Path(common) / dataset if common else None
        return self.data.get(dataset, beside if beside is not None and beside.is_dir() else None)


@dataclass(frozen=True)
class Worker:
    """Executes runs.

    Attributes:
        shared: tables of the plan. places: where things lie. progress: of trainings.
    """

    shared: Shared
    places: Places
    progress: Progress = field(default_factory=Progress)

    def execute(self, run: Run, resolved: Resolved) -> RunResult:
        """Do the run.

        Raises:
            SemflashError: training or measuring is refused.
        """
        began = time.monotonic()
        data = self._data(self.shared.tasks[run.task].dataset)
        if resolved.spec is None:
            return self._task_result(run, resolved, data)
        budget = BaselineBudget(run.budget_plan.train_images, run.budget_plan.epochs or 0, run.seed)
        folder = self.places.work / "methods" / run.experiment / run.id
        task = load_task(self.task(run.task))
        job = Job(task, data, run.bytes, folder, budget, self.progress)
        trained, history, where = None, [], None
        if resolved.recipe is not None:
            trained, where = self.codec(run, resolved)
            history = _history(where)
        method = resolved.spec.method(job, resolved.trial, trained)
        prepared = time.monotonic()
        rows, mean = measure(method, data, run.measures, resolved.spec.framings, run.seed)
        figures: dict[str, Any] = {"trial": dict(resolved.spec.trials[resolved.trial])}
        figures |= {} if trained is None else code_use(trained, data)
        if where is not None and any(one.encoder == "int8" for one in run.measures):
            from experiments.int8 import int8_rows

            more, found = int8_rows(where, self.places.work, data, run, self._data_dir(run))
            rows, figures = rows + more, figures | found
        spent = sum(record.get("seconds", 0.0) for record in history) or prepared - began
        history = history or _history(folder)  # what a method tunes by itself
        return _result(run, resolved, rows).finish(
            title=resolved.spec.title,
            citation=resolved.spec.citation,
            kind=resolved.spec.kind,
            history=history,
            figures=plain(figures),
            mean_payload_bytes=None if np.isnan(mean) else mean,
            seconds={"training": round(spent, 1), "measuring": round(time.monotonic() - prepared, 1)},
        )

    def task(self, name: str) -> Path:
        """The directory of a trained task network; trained now where there is none.

        Raises:
            TrainingError: the directory holds the run of another recipe.
        """
        folder, plan = self.places.task_dir(name), self.shared.tasks[name]
        recipe = self._recipe(name)
        if not finished(folder):
            train_task_network(
                recipe, folder, data_dir=self.places.data_dir(plan.dataset), progress=self.progress
            )
        else:
            _check_task(folder, RunInfo.load(folder).recipe, recipe)
        return folder

    def _recipe(self, task: str) -> TaskRecipe:
        plan = self.shared.tasks[task]
        return override(task_recipe(plan.recipe), {"dataset": plan.dataset, **plan.set}, [])

    def codec(self, run: Run, resolved: Resolved) -> tuple[TrainedCodec, Path]:
        """The trained codec of a run and its directory; what is trained already is loaded."""
        assert resolved.recipe is not None
        transfer = None
        if resolved.source is not None:
            home, source = at_home(run, resolved)
            _, where = self.codec(home, source)
            transfer = Transfer(where, **resolved.transfer)
        for folder in self.places.trained:
            if transfer is None and finished(folder) and _is_of(folder, resolved.recipe):
                _check_task(
                    folder, RunInfo.load(folder).recipe.get("task_recipe", {}), self._recipe(run.task)
                )
                return load_run(folder), folder
        folder = codec_dir(self.places, run, resolved)
        if finished(folder):
            return load_run(folder), folder
        trained = train_codec(
            resolved.recipe,
            self.task(run.task),
            folder,
            data_dir=self._data_dir(run),
            progress=self.progress,
            transfer=transfer,
        )
        return trained, folder

    def _data_dir(self, run: Run) -> Path | None:
        return self.places.data_dir(self.shared.tasks[run.task].dataset)

    def _data(self, name: str) -> Dataset:
        return load_dataset(name, data_dir=self.places.data_dir(name))

    def _task_result(self, run: Run, resolved: Resolved, data: Dataset) -> RunResult:
        """The uncompressed task network on both splits."""
        folder = self.task(run.task)
        task: TrainedTask = load_task(folder)
        rows = [
            Row(
                split=split,
                channel="bsc",
                rate=0.0,
                value=task.accuracy(getattr(data, split)),
                images=len(getattr(data, split)),
            )
            for split in ("val", "test")
        ]
        history = _history(folder)
        return _result(run, resolved, rows).finish(
            title="task network, uncompressed",
            kind="learned",
            history=history,
            seconds={"training": round(sum(record.get("seconds", 0.0) for record in history), 1)},
        )


@dataclass(frozen=True)
class _Draft:
    """A result without what the method says of itself."""

    fields: dict[str, Any]

    def finish(self, **more: Any) -> RunResult:
        return RunResult(**(self.fields | more))


def _result(run: Run, resolved: Resolved, rows: list[Row]) -> _Draft:
    import keras
    import tensorflow as tf

    versions = {
        "semflash": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    return _Draft(
        {
            "experiment": run.experiment,
            "run": run.id,
            "method": run.method,
            "variant": run.variant,
            "payload_bytes": run.bytes,
            "seed": run.seed,
            "rows": rows,
            "versions": versions,
            "budget": Budget(run.budget, run.budget_plan.text),
            "settings": resolved.settings,
            "fingerprint": resolved.fingerprint,
        }
    )


def at_home(run: Run, resolved: Resolved) -> tuple[Run, Resolved]:
    """The run that trains a transfer's codec where it comes from, with the settings of that place."""
    assert resolved.source is not None
    home = dataclasses.replace(run, task=run.budget_plan.task, kind="codec")
    settings = resolved.settings | {
        "recipe": plain(dataclasses.asdict(resolved.source)),
        "task": resolved.settings["home"],
    }
    return home, dataclasses.replace(resolved, recipe=resolved.source, source=None, settings=settings)


def codec_dir(places: Places, run: Run, resolved: Resolved) -> Path:
    """Where the codec of a run is trained: runs of the same recipe share it."""
    decides = {key: resolved.settings[key] for key in ("recipe", "task")}
    decides |= {key: resolved.settings[key] for key in ("home", "transfer") if resolved.source is not None}
    return places.work / "codecs" / f"{run.method}-{run.bytes}-s{run.seed}-{digest(decides)}"


def finished(folder: Path) -> bool:
    """Whether a training run in a directory came to its end (a running one publishes figures, too)."""
    if not has_run(folder):
        return False
    results = RunInfo.load(folder).results
    return "val_accuracy" in results


def _is_of(folder: Path, recipe: CodecRecipe) -> bool:
    """Whether a finished codec run has this recipe, its name apart."""
    wanted = plain(dataclasses.asdict(recipe)) | {"name": None}
    found = RunInfo.load(folder).recipe | {"name": None}
    return all(found.get(key) == value for key, value in wanted.items()) and "codec_from" not in found


def _check_task(folder: Path, found: dict[str, Any], recipe: TaskRecipe) -> None:
    """TrainingError: the recipe found in a run is not that of the task network that is wanted."""
    wanted = plain(dataclasses.asdict(recipe))
    for key in ("dataset", "head_channels", "widths", "train_images"):
        if found.get(key) != wanted[key]:
            raise TrainingError(
                f"another task network: its {key} is not {wanted[key]}",
                value=f"{folder}: {found.get(key)}",
                remedy="name the right directory with --task or --use, or remove it",
            )


def _history(folder: Path) -> list[dict[str, Any]]:
    path = folder / "history.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def code_use(trained: TrainedCodec, data: Dataset) -> dict[str, Any]:
    """How often each code is sent (shares, 1,000 test images), and the values it stands for."""
    codes = encode(trained.codec, data.test.images[:1_000]).ravel()
    shares = np.bincount(codes, minlength=trained.codec.levels()) / len(codes)
    figures: dict[str, Any] = {"code_use": [round(float(share), 5) for share in shares]}
    tails = [stage for stage in trained.codec.device().stages if isinstance(stage, TailStage)]
    if len(tails) == 1:
        figures["centres"] = [round(float(value), 5) for value in np.ravel(tails[0].spec.centres)]
    return figures
