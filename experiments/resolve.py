"""From a run of the plan to everything that decides it: recipe, trial, settings, and their fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from experiments.plan import Run, Shared, TaskPlan
from semflash.baselines.catalogue import METHODS, MethodSpec, method_spec, search_score
from semflash.errors import SemflashError
from semflash.report.results import ResultStore, RunResult
from semflash.training.recipes.catalogue import CODEC_RECIPES, comparison
from semflash.training.recipes.overrides import override
from semflash.training.recipes.recipe import CodecRecipe

TRANSFER = "transfer."


class Waiting(Exception):
    """The run needs results that are not there yet."""


@dataclass(frozen=True)
class Resolved:
    """What a run does.

    Attributes:
        spec: of the catalogue; None: the task network itself.
        trial: of the catalogue whose settings are used.
        recipe: of the codec; None: a classical method.
        source: recipe of the codec that is taken over; None: a new one.
        transfer: epochs and train_encoder of the transfer.
        settings: all of it as plain JSON.
    """

    spec: MethodSpec | None
    trial: int
    recipe: CodecRecipe | None
    source: CodecRecipe | None
    transfer: dict[str, Any]
    settings: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Digest of the settings, 16 hexadecimal digits."""
        return digest(self.settings)


def digest(values: Any) -> str:
    """SHA-256 of canonical JSON, the first 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def plain(values: Any) -> Any:
    """Plain JSON values: tuples become lists."""
    return json.loads(json.dumps(values))


def trial_counts() -> dict[str, int]:
    """Method -> number of trials, for every method of the catalogue."""
    return {name: len(spec.trials) for name, spec in METHODS.items()}


def resolve(run: Run, runs: Sequence[Run], shared: Shared, store: ResultStore) -> Resolved:
    """Everything that decides a run.

    Args:
        runs: the whole plan, in which the method's search is looked up.

    Raises:
        Waiting: the search of its method is not complete.
        SemflashError: a method or a field of the recipe that does not exist.
    """
    settings: dict[str, Any] = {
        "kind": run.kind,
        "method": run.method,
        "bytes": run.bytes,
        "seed": run.seed,
        "budget": msgspec.to_builtins(run.budget_plan) | {"seconds": None},
        "task": msgspec.to_builtins(shared.tasks[run.task]),
        "measures": msgspec.to_builtins(run.measures),
    }
    if run.kind == "task":
        return Resolved(None, 0, None, None, {}, plain(settings))
    spec = method_spec(run.method)
    trial = _trial(run, runs, store)
    tuned = run.tuned or run.kind == "search"
    changes = {key: value for key, value in run.changes.items() if not key.startswith(TRANSFER)}
    transfer = {key[len(TRANSFER) :]: run.changes[key] for key in run.changes if key.startswith(TRANSFER)}
    recipe = source = None
    if spec.recipe is not None:
        there = shared.tasks[run.task]
        plain_recipe = _recipe(spec, run, trial if tuned else None, changes, there.dataset)
        recipe = _augmented_as(there, plain_recipe)
        settings["recipe"] = dataclasses.asdict(recipe)
        if run.kind == "transfer":
            home = shared.tasks[run.budget_plan.task]
            source = _augmented_as(home, dataclasses.replace(plain_recipe, dataset=home.dataset))
            settings |= {"home": msgspec.to_builtins(home), "transfer": transfer}
    else:
        settings["trial"] = dict(spec.trials[trial])
    return Resolved(spec, trial, recipe, source, transfer, plain(settings))


def _recipe(
    spec: MethodSpec, run: Run, trial: int | None, changes: dict[str, Any], dataset: str
) -> CodecRecipe:
    """The method's recipe under the budget, then the trial's settings, then the variant's."""
    assert spec.recipe is not None
    tuned = {} if trial is None else dict(spec.trials[trial])
    budget = run.budget_plan
    if budget.epochs is None:
        base = CODEC_RECIPES.get(f"{dataset}-{run.bytes}") if run.method == "semanticnn" else None
        base = dataclasses.replace(base or spec.recipe(run.bytes), seed=run.seed)
        base = dataclasses.replace(base, train_images=budget.train_images)
        recipe = override(base, _dotted(tuned, base), [])
    else:
        recipe = comparison(spec.recipe(run.bytes), seed=run.seed, **tuned)
    recipe = override(recipe, changes, [])
    if budget.epochs is not None:
        first = budget.first_epochs if recipe.autoencoder_epochs else 0
        recipe = dataclasses.replace(
            recipe,
            train_images=budget.train_images,
            autoencoder_epochs=first,
            task_epochs=budget.epochs - first,
        )
    return dataclasses.replace(recipe, dataset=dataset)


def _augmented_as(task: TaskPlan, recipe: CodecRecipe) -> CodecRecipe:
    """The recipe with what the task network's plan says of augmentation: digits are not mirrored."""
    changes = {key: value for key, value in task.set.items() if key.startswith("augmentation.")}
    return override(recipe, changes, [])


def _dotted(settings: dict[str, Any], recipe: CodecRecipe) -> dict[str, Any]:
    """Fields for `override`; sizes are merged, not replaced."""
    merged = dict(settings)
    if "sizes" in merged:
        merged["sizes"] = recipe.sizes | merged["sizes"]
    return merged


def _trial(run: Run, runs: Sequence[Run], store: ResultStore) -> int:
    """The run's own trial in a search; elsewhere the best of the method's search, or the only one."""
    if run.trial is not None:
        return run.trial
    searched = [other for other in runs if other.kind == "search" and other.method == run.method]
    own = [other for other in searched if other.bytes == run.bytes]
    searched = own or searched
    if not run.tuned or not searched:
        return 0
    results = {other.trial: store.get(other.experiment, other.id) for other in searched}
    missing = sorted(trial for trial, result in results.items() if trial is not None and result is None)
    if missing:
        raise Waiting(f"trial {missing[0]} of the search for {run.method}")
    scores = {trial: score(result) for trial, result in results.items() if result is not None}
    return int(max(scores, key=lambda trial: (scores[trial], -(trial or 0))) or 0)


def score(result: RunResult) -> float:
    """Mean validation accuracy over the search's bit error rates."""
    found = {row.rate: row.value for row in result.rows if row.split == "val" and row.channel == "bsc"}
    return search_score(found)


def state(run: Run, resolved: Resolved, store: ResultStore) -> str:
    """``done``, ``stale`` (there, but of other settings) or ``open``."""
    result = store.get(run.experiment, run.id)
    if result is None:
        return "open"
    return "done" if same_settings(result.settings, resolved.settings) else "stale"


def same_settings(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a stored result has the wanted settings.

    Fields that recipes got since then do not count as long as they stand at their defaults.
    """
    if "recipe" not in stored or "recipe" not in wanted:
        return stored == wanted
    defaults = plain(dataclasses.asdict(CodecRecipe("")))
    return stored == wanted | {"recipe": _without_new(wanted["recipe"], stored["recipe"], defaults)}


def _without_new(wanted: dict[str, Any], stored: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Without fields that are not stored and stand at their defaults, at any depth."""
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        if key not in stored:
            if key not in defaults or value != defaults[key]:
                found[key] = value
        elif all(isinstance(one.get(key), dict) for one in (wanted, stored, defaults)):
            found[key] = _without_new(value, stored[key], defaults[key])
        else:
            found[key] = value
    return found


def why_not(error: SemflashError) -> str:
    """A refusal in one line."""
    return str(error).splitlines()[0]
