"""The jobs of the second task: boxes on scenes, with and without a detector as teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from experiments.resolve import plain
from experiments.tosc.names import BOX_REPEATS, SEEDS, SNRS
from experiments.tosc.plan import Study, name_of
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.overrides import override

RECIPE, TEACHER = "scenes-tosc", "scenes-teacher"
SHAPE, CLASSES, IMAGES = (64, 64, 3), 5, 10_000
#: Variant -> fields of the recipe that differ from the distilled codec's, which learns from labels alone.
VARIANTS: dict[str, dict[str, Any]] = {"distilled": {"teacher": TEACHER}, "undistilled": {}}


def box_studies(epochs: int | None) -> Iterator[Study]:
    """The detector, then the codecs.

    Args:
        epochs: passes of every training instead of its own, to try the jobs out.
    """
    recipe = task_recipe(TEACHER)
    task = dataclasses.asdict(recipe if epochs is None else dataclasses.replace(recipe, epochs=epochs))
    teacher = Study(
        name_of("boxes", "teacher", 0),
        "boxes",
        "teacher",
        0,
        "detector",
        plain({"task": task}),
        priority=10,
        seconds=450.0,
    )
    yield teacher
    for seed in SEEDS:
        for variant, changes in VARIANTS.items():
            yield _codec(variant, changes, seed, epochs, teacher)


def _codec(variant: str, changes: dict[str, Any], seed: int, epochs: int | None, teacher: Study) -> Study:
    base = codec_recipe(RECIPE)
    fields = {"seed": seed, "task_epochs": epochs or base.task_epochs} | changes
    recipe = dataclasses.replace(override(base, fields, []), name=f"tosc boxes {variant}")
    told = {"image_shape": SHAPE, "classes": CLASSES, "ber": recipe.ber}
    settings = {
        "recipe": dataclasses.asdict(recipe),
        "sizes": ToscSizes.from_dict(told | recipe.sizes).plain(),
        "measure": {"levels": SNRS, "repeats": BOX_REPEATS},
    }
    if recipe.teacher:
        settings |= teacher.settings
    return Study(
        name_of("boxes", variant, seed),
        "boxes",
        variant,
        seed,
        "boxes",
        plain(settings),
        needs=(teacher.name,) if recipe.teacher else (),
        priority=11,
        seconds=0.0025 * recipe.task_epochs * IMAGES,
    )
