"""The jobs, the most important first. Nothing is trained or loaded here."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.multires.names import ARMS, FORMAT_IMAGES, RATES, SEEDS
from experiments.resolve import plain
from experiments.studies.study import Study, name_of
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.overrides import override

BERS = (0.0, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01)
INT8_RATES = (16, 64, 128, 256, 512, 1024)
#: Steps of 64 pictures of the other classifier.
ANOTHER_STEPS = 1_500


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
        _study("scenes", "formats", 0, "formats", task, epochs, {"images": FORMAT_IMAGES}, 3),
        _study("scenes", "untuned", 0, "untuned", task, epochs, {"measure": measure}, 3),
        _study("scenes", "another classifier", 0, "another", task, epochs, {"steps": ANOTHER_STEPS}, 3),
    ]
    return sorted(found, key=lambda one: (one.priority, one.seed))


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
    if kind != "teacher":
        settings |= {"recipe": dataclasses.asdict(recipe)}
    needs = {"teacher": (), "coders": (name_of(group, "teacher", 0),)}.get(
        kind, (name_of(group, "teacher", 0), name_of(group, "coders", 0))
    )
    own = kind in ("teacher", "coders", "codec")
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
