"""The jobs of the experiments with TOSC, the most important first. Nothing is trained or loaded here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from experiments.resolve import plain
from experiments.studies.study import Study, name_of
from experiments.tosc.names import (
    BERS,
    IMAGES,
    KEPT,
    LIVE_IMAGES,
    PASSES,
    REPEATS,
    SEEDS,
    SNRS,
    TEACHERS,
    ZOO,
)
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.training.recipes.catalogue import codec_recipe
from semflash.training.recipes.overrides import override
from semflash.training.recipes.recipe import CodecRecipe

#: Codes of 2 bits on 4x4 places are the 32 bits that 16 symbols of QPSK carry, whose bit error rate is
#: between 0 and 0.31 from 18 to -6 dB.
IN_SYMBOLS = {"sizes.levels": 4, "ber.low": 1e-4, "ber.high": 0.32, "ber.clean_share": 0.2}
#: As the images of TOSC.
IN_SYMBOLS |= {"augmentation.shift_px": 4, "augmentation.erase": 0.3, "augmentation.gain": 0.15}
SHAPES = {"stamps": ((32, 32, 3), 10), "fashion-mnist": ((28, 28, 1), 10)}
TASKS = {"stamps": "stamps", "fashion-mnist": "fashion-mnist-small"}


#: Variant -> fields of the recipe that differ from the distilled codec's.
STAMPS: dict[str, dict[str, Any]] = {
    "distilled": {},
    "undistilled": {"teacher": ""},
    "no adaptation": {"sizes.adaptive": False},
    "no bottleneck": {"sizes.bottleneck": 0.0},
    "half of the data": {"train_images": 10_000},
    "half of the data, undistilled": {"train_images": 10_000, "teacher": ""},
    "rayleigh": {"sizes.fading": "rayleigh"},
    "local": {"sizes.places": "local"},
    "views, undistilled": {"distillation_weight": 0.0},
    "noisy estimates": {"estimate_noise": 0.25},
    "quarter of the data": {"train_images": 5_000},
    "quarter of the data, undistilled": {"train_images": 5_000, "teacher": ""},
    "tenth of the data": {"train_images": 2_000},
    "tenth of the data, undistilled": {"train_images": 2_000, "teacher": ""},
}


def studies(epochs: int | None = None) -> list[Study]:
    """Every job, in the order of doing.

    Args:
        epochs: passes of every training instead of its own, to try the jobs out.
    """
    from experiments.tosc.box_plan import box_studies  # which is made of what stands here

    found = [*_stamps(epochs), *_of_stamps(epochs), *_compared(epochs), *box_studies(epochs)]
    return sorted(found, key=lambda one: (one.priority, one.seed))


def _stamps(epochs: int | None) -> Iterator[Study]:
    for place, (variant, changes) in enumerate(STAMPS.items()):
        priority = max(0, place - 1)  # the first two belong together
        priority += 3 if "train_images" in changes and place > 5 else 0
        for seed in SEEDS:
            yield codec_study("stamps", variant, stamps_recipe(variant, changes, seed, epochs), priority)


def stamps_recipe(variant: str, changes: dict[str, Any], seed: int, epochs: int | None) -> CodecRecipe:
    """The recipe of a variant; half of the images are seen twice as often, so that all take as many steps.

    Args:
        epochs: passes, whatever the number of images; None: the recipe's, of all images.
    """
    base = codec_recipe("stamps-tosc")
    fields = {"teacher": TEACHERS["stamps"], "int8_epochs": 0, "seed": seed} | changes
    often = IMAGES // changes.get("train_images", IMAGES)
    fields["task_epochs"] = epochs or base.task_epochs * often
    return dataclasses.replace(override(base, fields, []), name=f"tosc {variant}")


def codec_study(group: str, variant: str, recipe: CodecRecipe, priority: int) -> Study:
    """The job that trains a codec of TOSC and measures it on the channel that it is for."""
    sizes = built_sizes(recipe)
    bits = sizes.channel == "bits"
    settings = {
        "recipe": dataclasses.asdict(recipe),
        "sizes": sizes.plain(),
        "measure": {"levels": BERS if bits else SNRS, "repeats": REPEATS},
    }
    steps = recipe.task_epochs * (recipe.train_images or 20_000) / recipe.batch
    return Study(
        name_of(group, variant, recipe.seed),
        group,
        variant,
        recipe.seed,
        "codec",
        plain(settings),
        priority=priority,
        seconds=0.025 * steps,
    )


def built_sizes(recipe: CodecRecipe) -> ToscSizes:
    """The sizes that the training will build, known without its data."""
    shape, classes = SHAPES[recipe.dataset]
    told = {"image_shape": shape, "classes": classes, "ber": recipe.ber}
    return ToscSizes.from_dict(told | recipe.sizes)


def _of_stamps(epochs: int | None) -> Iterator[Study]:
    """What is measured of codecs that other jobs have trained."""
    for seed in SEEDS:
        for variant, kind, more, priority in (
            ("distilled", "states", {"errors": [-2, -1, 1, 2], "told": [-3.0, 3.0]}, 2),
            ("distilled", "kept", {"kept": KEPT}, 3),
            ("no bottleneck", "kept", {"kept": KEPT}, 3),
            ("distilled", "similarity", {"level": 18.0}, 4),
            ("undistilled", "similarity", {"level": 18.0}, 4),
            ("distilled", "fading", {}, 6),
            ("rayleigh", "fading", {}, 6),
            ("distilled", "changing", {"count": 2_000, "fading": "none"}, 7),
        ):
            yield measured(variant, kind, more, seed, priority, epochs)
    yield measured("distilled", "costs", {"level": 18.0}, 0, 1, epochs)
    for bundle in ZOO:
        yield Study(
            name_of("board", bundle, 0),
            "board",
            bundle,
            0,
            "board",
            {"bundle": bundle},
            priority=1,
            seconds=20.0,
        )
    yield _live()


def _live() -> Study:
    """Two passes over few images; their number is what is measured, so it is always the same."""
    recipe = stamps_recipe("distilled", {"train_images": LIVE_IMAGES}, 0, 2)
    named = codec_study("live", "stored or live", recipe, 4)
    return dataclasses.replace(named, kind="live", seconds=300.0)


def measured(
    variant: str, kind: str, more: dict[str, Any], seed: int, priority: int, epochs: int | None
) -> Study:
    """A job that measures the codec of another one."""
    source = codec_study("stamps", variant, stamps_recipe(variant, STAMPS[variant], seed, epochs), 0)
    return Study(
        name_of(kind, variant, seed),
        kind,
        variant,
        seed,
        kind,
        plain(source.settings | more | {"kind": kind}),
        of=source.name,
        priority=priority,
        seconds=30.0,
    )


def _compared(epochs: int | None) -> Iterator[Study]:
    """TOSC beside other methods at the same payload, all with as many passes over the same images."""
    for group, recipe_name, dataset, priority in (
        ("bits", "fashion-mnist-tosc-12", "fashion-mnist", 5),
        ("symbols", "stamps-tosc", "stamps", 6),
    ):
        base, passes = codec_recipe(recipe_name), epochs or PASSES[group]
        for place, (variant, teacher) in enumerate((("distilled", TEACHERS[dataset]), ("undistilled", ""))):
            for seed in SEEDS:
                fields: dict[str, Any] = {"teacher": teacher, "int8_epochs": 0, "seed": seed}
                fields |= {"train_images": IMAGES, "task_epochs": passes}
                recipe = dataclasses.replace(override(base, fields, []), name=f"tosc {variant}")
                yield codec_study(group, variant, recipe, priority + place)
    for seed in SEEDS:
        yield _deep_jscc(seed, epochs or PASSES["symbols"])
    yield from _baselines("bits", "fashion-mnist", 12, epochs)
    yield from _baselines("symbols", "stamps", 6, epochs)


def _deep_jscc(seed: int, passes: int) -> Study:
    recipe = override(
        codec_recipe("stamps-tosc"),
        {"int8_epochs": 0, "seed": seed, "task_epochs": passes, "sizes.bottleneck": 0.0},
        [],
    )
    named = codec_study("symbols", "deep jscc", dataclasses.replace(recipe, name="deep jscc"), 8)
    settings = named.settings | {"jscc": 1}
    return dataclasses.replace(named, kind="jscc", settings=settings, seconds=passes * 40.0)


def _baselines(group: str, dataset: str, size: int, epochs: int | None) -> Iterator[Study]:
    """Task network, methods and what image codecs need; `size`: bytes with codes of 3 bits."""
    task = {"recipe": TASKS[dataset], "dataset": dataset, "set": {}} | (
        {} if epochs is None else {"set": {"epochs": epochs}}
    )
    bits, passes = group == "bits", epochs or PASSES[group]
    about = {"task_name": f"tosc-{dataset}", "task": task}
    first = Study(f"task-{dataset}", "task", dataset, 0, "task", plain(about), priority=7)
    yield first
    fits = {"dataset": dataset, "bytes": 12 if bits else 4}
    yield Study(f"fits-{dataset}", "fits", dataset, 0, "fits", fits, priority=7, seconds=20.0)
    for method in ("semanticnn", "bottlenetpp", "adjscc", *(("jpeg",) if bits else ())):
        for seed in SEEDS:
            settings = about | {
                "method": method,
                "bytes": size,
                "passes": passes,
                "images": IMAGES,
                "seed": seed,
                "channel": "bsc" if bits else "awgn",
                "levels": BERS if bits else SNRS,
                "changes": {} if bits else IN_SYMBOLS,
            }
            yield Study(
                name_of(group, method, seed),
                group,
                method,
                seed,
                "baseline",
                plain(settings),
                needs=(first.name,),
                priority=8 if bits else 9,
                seconds=passes * 20.0,
            )
