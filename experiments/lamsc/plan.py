"""The jobs, the most important first. Nothing is trained or loaded here."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.lamsc.names import ATTENTION, BASES, ERROR_IMAGES, TEST_IMAGES, TRAIN_IMAGES
from experiments.resolve import plain
from experiments.studies.study import Study, name_of
from semflash.segments.classical import EXACT
from semflash.segments.evidence import Rule
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.overrides import override

TASK = "stamps-focus"
#: The codec as it comes, and its ablations: those that need a training of their own.
GROUP, CODEC = "focus", "codec"
VARIANTS: dict[str, dict[str, Any]] = {CODEC: {}, "learned mask": {"mask": "learned"}}
SEEDS = (0, 1, 2)
#: Training of the small student of blocks.
STUDENT = {"steps": 1_000, "batch": 64, "rate": 3e-3}
#: Segments of an image that attention sees: exact masks have three.
SEEN = 4
#: The attention's parts are compared on these segments.
ATTENTION_BASE = EXACT


def studies(epochs: int | None = None) -> list[Study]:
    """Every job.

    Args:
        epochs: Passes of every training instead of its own, to try the jobs out.
    """
    task = task_recipe(TASK)
    student = dict(STUDENT)
    if epochs is not None:
        task, student["steps"] = dataclasses.replace(task, epochs=epochs), 20 * epochs
    common = {"task": dataclasses.asdict(task), "rule": Rule().plain()}
    found = []
    images = {"test": TEST_IMAGES}
    for base in BASES:
        of = {"base": base, "images": images, "epochs": epochs}
        found.append(_knowledge("knowledge", base, common | of, BASES.index(base)))
    learning = {"student": student, "attention": list(ATTENTION), "seen": SEEN, "epochs": epochs}
    of = {"base": ATTENTION_BASE, "images": images | {"train": TRAIN_IMAGES}}
    found.append(_knowledge("attention", ATTENTION_BASE, common | of | learning, len(BASES)))
    found += _codecs(task, epochs)
    return sorted(found, key=lambda one: (one.priority, one.seed))


def _codecs(task: Any, epochs: int | None) -> list[Study]:
    """The codec with each seed and, of the first, what is measured beside it; its ablations."""
    found = []
    for variant, sizes in VARIANTS.items():
        for seed in SEEDS if variant == CODEC else SEEDS[:1]:
            own = name_of(GROUP, variant, seed)
            recipe = override(codec_recipe("focus-lamsc"), {"seed": seed}, [])
            fields: dict[str, Any] = {"sizes": recipe.sizes | sizes}
            if epochs is not None:
                fields |= {"autoencoder_epochs": epochs, "task_epochs": epochs, "polish_epochs": epochs}
            settings = {
                "task": dataclasses.asdict(task),
                "recipe": dataclasses.asdict(dataclasses.replace(recipe, **fields)),
            }
            priority = 10 + seed if variant == CODEC else 20
            found.append(
                Study(own, GROUP, variant, seed, "codec", plain(settings), of=own, priority=priority)
            )
    first = found[0]
    for kind, more in (("formats", {}), ("errors", {"images": ERROR_IMAGES})):
        found.append(
            Study(
                name_of(GROUP, kind, 0),
                GROUP,
                kind,
                0,
                kind,
                plain(first.settings | more),
                of=first.name,
                needs=(first.name,),
                priority=11,
            )
        )
    return found


def _knowledge(group: str, base: str, settings: dict[str, Any], priority: int) -> Study:
    return Study(
        name_of(group, base, 0),
        group,
        base,
        0,
        "knowledge",
        plain(settings),
        of="task",  # the first of them trains the task network
        priority=priority,
    )
