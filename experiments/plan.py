"""The plan: which runs there are. Read from ``configs/*.toml``; a run is one training or one measurement.

``configs/shared.toml`` holds the budgets, the task networks and the measures; every other file is an
experiment with groups of runs. A group gives the product of its methods, bytes, variants and seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from semflash.errors import UsageError

CONFIGS = Path(__file__).resolve().parent / "configs"
SHARED = "shared.toml"

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class BudgetPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """What a training may take.

    Attributes:
        text: the sentence that tables show.
        task: name of the task network, in [tasks].
        train_images: the first so many training images; None: all.
        epochs: of all stages together, the same for every method; None: the recipe's own.
        first_epochs: of them, for the stage before the task loss, of a method that has one.
        seconds: what a run takes on one core, for the first guess of the time left.
    """

    text: str
    task: str
    train_images: int | None = None
    epochs: int | None = None
    first_epochs: int = 0
    seconds: float = 70.0


class TaskPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """A task network: its recipe, the fields that differ (`set`), and the data set."""

    recipe: str
    dataset: str = "fashion-mnist"
    set: dict[str, Any] = {}


class Measure(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of conditions; see :class:`semflash.report.results.Row` for the fields."""

    channel: str
    rates: list[Share]
    split: str = "test"
    estimates: list[str] = msgspec.field(default_factory=lambda: ["exact"])
    burst_bits: list[int] = []
    frame_bytes: list[int] = []
    encoder: str = "float"


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Runs of one kind.

    Attributes:
        methods: names; ``@baselines`` stands for every method of the catalogue but SemanticNN.
        variants: name -> fields of the recipe that differ; the empty name: nothing does.
        measures: names of [measures].
        priority: smaller runs first.
        task: task network instead of the budget's.
        kind: ``codec``; ``search`` (one run a trial of the method's search); ``transfer`` (the codec of the
            budget's own task network, attached to `task`; `transfer.epochs` and `transfer.train_encoder` are
            fields of a variant); ``task`` (the task network itself, without a codec).
        tuned: take the winner of the method's search; False: its recipe before the search.
    """

    methods: list[str]
    bytes: list[int]
    measures: list[str]
    priority: int
    seeds: list[int] = msgspec.field(default_factory=lambda: [0])
    budget: str = "comparison"
    variants: dict[str, dict[str, Any]] = msgspec.field(default_factory=lambda: {"": {}})
    task: str | None = None
    kind: str = "codec"
    tuned: bool = True


class Experiment(Struct, frozen=True, forbid_unknown_fields=True):
    """One configuration file."""

    title: str
    group: list[Group]


class Shared(Struct, frozen=True, forbid_unknown_fields=True):
    """``configs/shared.toml``."""

    budgets: dict[str, BudgetPlan]
    tasks: dict[str, TaskPlan]
    measures: dict[str, Measure]


@dataclass(frozen=True)
class Run:
    """One run of the plan.

    Attributes:
        experiment, id: folder and name of the result.
        method, bytes, seed, variant, changes: what is trained; `changes` are fields of the recipe.
        budget, budget_plan, task: how.
        measures: what is measured afterwards.
        priority: smaller runs first. kind, tuned: see Group. trial: of a search; None elsewhere.
    """

    experiment: str
    id: str
    method: str
    bytes: int
    seed: int
    variant: str
    budget: str
    budget_plan: BudgetPlan
    task: str
    measures: tuple[Measure, ...]
    priority: int
    kind: str = "codec"
    tuned: bool = True
    trial: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``experiment/id``."""
        return f"{self.experiment}/{self.id}"


def read_shared(folder: Path = CONFIGS) -> Shared:
    """The shared tables. UsageError: missing or malformed."""
    return _read(folder / SHARED, Shared)


def read_experiments(folder: Path = CONFIGS) -> dict[str, Experiment]:
    """Experiment name -> configuration, in the order of the files. UsageError: malformed."""
    files = sorted(path for path in folder.glob("*.toml") if path.name != SHARED)
    return {path.stem.split("-", 1)[-1]: _read(path, Experiment) for path in files}


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"cannot read a configuration: {error}", value=path.name) from error


def expand(experiments: dict[str, Experiment], shared: Shared, trials: dict[str, int]) -> list[Run]:
    """All runs, in the order in which they are to be done.

    Args:
        trials: method -> number of trials in its search; its keys are the methods there are.

    Raises:
        UsageError: a name that the shared tables lack, or two runs of one name.
    """
    runs: dict[str, Run] = {}
    for name, experiment in experiments.items():
        for group in experiment.group:
            for run in _runs(name, group, shared, trials):
                if run.name in runs:
                    raise UsageError("two runs of one name", value=run.name, remedy="name their variants")
                runs[run.name] = run
    return sorted(runs.values(), key=lambda run: run.priority)


def _runs(experiment: str, group: Group, shared: Shared, trials: dict[str, int]) -> Iterator[Run]:
    budget = _known(shared.budgets, group.budget, "budget")
    task = budget.task if group.task is None else group.task
    _known(shared.tasks, task, "task network")
    measures = tuple(_known(shared.measures, name, "measure") for name in group.measures)
    for seed in group.seeds:
        for size in group.bytes:
            for method in _methods(group.methods, trials):
                for variant, changes in group.variants.items():
                    for trial in range(trials.get(method, 1)) if group.kind == "search" else (None,):
                        parts = [
                            method,
                            str(size or ""),
                            slug(variant),
                            "" if trial is None else f"t{trial}",
                            group.task or "",
                            "" if group.budget == "comparison" else group.budget,
                        ]
                        yield Run(
                            experiment,
                            "-".join(part for part in (*parts, f"s{seed}") if part),
                            method,
                            size,
                            seed,
                            variant,
                            group.budget,
                            budget,
                            task,
                            measures,
                            group.priority,
                            group.kind,
                            group.tuned,
                            trial,
                            changes,
                        )


def _methods(names: list[str], trials: dict[str, int]) -> list[str]:
    found: list[str] = []
    for name in names:
        found += [other for other in trials if other != "semanticnn"] if name == "@baselines" else [name]
    return found


def _known(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise UsageError(f"no such {what}", value=name, remedy=f"use one of {', '.join(sorted(table))}")
    return table[name]


def slug(text: str) -> str:
    """A name as a part of a file's name: ``no stage 1`` gives ``no-stage-1``."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
