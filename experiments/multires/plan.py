"""The jobs, the most important first. Nothing is trained or loaded here."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.multires.compared_recipes import LIMITNET, SEMANTICNN, recipe_of
from experiments.multires.names import ARMS, ORACLE, RATES, SEEDS, SINGLE, STUDENT_VARIANCE
from experiments.resolve import plain
from experiments.studies.study import Study, name_of
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.overrides import override

BERS = (0.0, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01)
INT8_RATES = (16, 64, 128, 256, 512, 1024)
#: Steps of 64 pictures of the other classifier.
ANOTHER_STEPS = 1_500
#: Of coders that learn features, too.
TASK_CODER_IMAGES, TASK_CODER_WEIGHT = 20_000, 500.0
#: Of the classifier of JPEG and WebP: as many as the codec's tail has, on pictures of so many images.
FORMATS = {"steps": 1_250, "images": 8_000}


def studies(epochs: int | None = None) -> list[Study]:
    """Every job.

    Args:
        epochs: Passes of every training instead of its own, to try the jobs out.
    """
    task = task_recipe("fashion-scenes-vit")
    if epochs is not None:
        task = dataclasses.replace(task, epochs=epochs)
    found = [_study("scenes", "teacher", 0, "teacher", task, epochs, {}, 0)]
    found.append(_study("scenes", "coders", 0, "coders", task, epochs, {}, 1))
    measure = {"arms": ARMS, "rates": RATES}
    for seed in SEEDS:
        found.append(_study("scenes", "codec", seed, "codec", task, epochs, {"measure": measure}, seed + 1))
    found += [
        _study("scenes", "int8", 0, "int8", task, epochs, {"rates": INT8_RATES}, 2),
        _study("scenes", "errors", 0, "errors", task, epochs, {"rate": 128, "bers": BERS}, 2),
        _study("scenes", "formats", 0, "formats", task, epochs, FORMATS, 3),
        *_compared(task, epochs),
        _study("scenes", "task coders", 0, "task coders", task, epochs, _task_coders(epochs), 3),
        _study("scenes", "untuned", 0, "untuned", task, epochs, {"measure": measure}, 3),
        _study("scenes", "another classifier", 0, "another", task, epochs, {"steps": ANOTHER_STEPS}, 3),
    ]
    return sorted(found, key=lambda one: (one.priority, one.seed))


def _task_coders(epochs: int | None) -> dict[str, Any]:
    """Coders that go on from those of the squared error with the task network's features beside it."""
    fields = {"autoencoder_epochs": epochs or 1, "task_epochs": 0, "polish_epochs": 0}
    more = {"train_images": TASK_CODER_IMAGES, "sizes": {"coder_features": TASK_CODER_WEIGHT}}
    recipe = override(codec_recipe("scenes-multires"), fields | more, [])
    recipe = dataclasses.replace(recipe, name="scenes-task-coders")
    arms = (SINGLE, ORACLE, STUDENT_VARIANCE)
    return {"coders": dataclasses.asdict(recipe), "arms": arms, "rates": RATES[:2]}


def _compared(task: Any, epochs: int | None) -> list[Study]:
    """Codecs of other papers: SemanticNN for each of the two lowest rates, LimitNet cut to both."""
    low, high = RATES[:2]
    found = []
    for family, size, rates in (
        (SEMANTICNN, low, (low,)),
        (SEMANTICNN, high, (high,)),
        (LIMITNET, high, (low, high)),
    ):
        recipe = recipe_of(family, size, task.name, 0)
        if epochs is not None:
            recipe = dataclasses.replace(recipe, autoencoder_epochs=epochs, task_epochs=epochs)
        more = {"compared": dataclasses.asdict(recipe), "rates": rates}
        found.append(_study("scenes", f"{family} {size}", 0, "compared", task, epochs, more, 2))
    return found


def _study(
    group: str,
    variant: str,
    seed: int,
    kind: str,
    task: Any,
    epochs: int | None,
    more: dict[str, Any],
    priority: int,
) -> Study:
    recipe = codec_recipe("scenes-multires")
    fields: dict[str, Any] = {"seed": seed}
    if epochs is not None:
        fields |= {"autoencoder_epochs": epochs, "task_epochs": epochs, "polish_epochs": epochs}
    recipe = override(recipe, fields, [])
    settings = {"task": dataclasses.asdict(task)} | more
    if kind not in ("teacher", "compared"):
        settings |= {"recipe": dataclasses.asdict(recipe)}
    first = (name_of(group, "teacher", 0),)
    needs = {"teacher": (), "coders": first, "compared": first}.get(
        kind, (*first, name_of(group, "coders", 0))
    )
    own = kind in ("teacher", "coders", "codec", "compared")
    return Study(
        name_of(group, variant, seed),
        group,
        variant,
        seed,
        kind,
        plain(settings),
        of="" if own else name_of(group, "codec", seed),
        needs=needs if own else (*needs, name_of(group, "codec", seed)),
        priority=priority,
    )
