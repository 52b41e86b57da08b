"""What `semflash train` finds out before TensorFlow is imported, and how its end points onward."""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.training.recipes.recipe import CodecRecipe


def check_names(args: argparse.Namespace, settings: Settings, name: str) -> None:
    """Recipe and data set exist.

    Raises:
        UsageError: one of them does not, or the recipe is one of the other kind.
    """
    from semflash.data.registry import dataset_names
    from semflash.training.recipes.catalogue import all_recipes

    tasks, codecs = all_recipes()
    here, there = (tasks, codecs) if args.only_task else (codecs, tasks)
    if name not in here and name in there:
        other = f"semflash train {name}" + ("" if args.only_task else " --only-task")
        kind = "codec" if args.only_task else "task network"
        raise UsageError(f"this is the recipe of a {kind}", value=name, remedy=other)
    data = first(args.dataset, settings.train.dataset)
    if data is None or data in dataset_names() or Path(data).is_dir():
        return
    near = difflib.get_close_matches(data, dataset_names(), n=1, cutoff=0.5)
    raise UsageError(
        "no such data set or image folder",
        value=data,
        remedy=f"--dataset {near[0]}" if near else f"a folder, or one of {', '.join(dataset_names())}",
    )


def is_own(args: argparse.Namespace, settings: Settings) -> bool:
    """Whether the recipe is the one that semflash.toml is about, so that its fields and steps hold."""
    return settings.train.recipe is not None and args.recipe in (None, settings.train.recipe)


def own_fields(args: argparse.Namespace, settings: Settings, which: str) -> dict[str, Any]:
    """Fields of [train.task] or [train.codec], dotted; none where another recipe is named."""
    if not is_own(args, settings):
        return {}
    return flat(settings.train.task if which == "task" else settings.train.codec)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys.

    >>> flat({"batch": 16, "sizes": {"latent": 8}})
    {'batch': 16, 'sizes.latent': 8}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def in_steps(recipe: Any, args: argparse.Namespace, settings: Settings) -> Any:
    """The recipe with as many epochs as [train] task_steps or codec_steps make of the images."""
    from semflash.data.registry import training_images
    from semflash.training.recipes.recipe import TaskRecipe
    from semflash.training.recipes.steps import codec_in_steps, task_in_steps

    table = settings.train
    wanted = table.task_steps if isinstance(recipe, TaskRecipe) else table.codec_steps
    if wanted is None or not is_own(args, settings):
        return recipe
    images = training_images(recipe.dataset, data_dir=first(args.data_dir, table.data_dir))
    if isinstance(recipe, TaskRecipe):
        return task_in_steps(recipe, wanted, images)
    return codec_in_steps(recipe, wanted, images)


def trains_alone(args: argparse.Namespace, recipe: CodecRecipe) -> bool:
    """Whether the recipe needs no task network: its family trains without one, or learns from the one that
    the recipe names.

    Raises:
        UsageError: it needs none, and the arguments or settings say something about one; or there is no
            such family.
    """
    from semflash.codecs import registry

    if not registry.trains_alone(recipe.family):
        return False
    if recipe.task:
        if args.codec_from is not None:
            raise UsageError(
                f"the family {recipe.family} is trained whole", value="--codec-from", remedy="leave that out"
            )
        return False
    given = {
        "--task": args.task,
        "--task-recipe": args.task_recipe,
        "--task-set": args.task_set,
        "--weights": args.weights,
        "--codec-from": args.codec_from,
    }
    wrong = [flag for flag, value in given.items() if value]
    if wrong:
        raise UsageError(
            f"the family {recipe.family} is trained without a task network",
            value=", ".join(wrong),
            remedy="leave that out; a teacher is named by --set teacher=STORE",
        )
    return True


def how_to_go_on() -> str:
    """The command that takes a stopped training up again, as it was given."""
    given = " ".join(shlex.quote(one) for one in sys.argv[1:])
    return f"stopped; whole epochs are kept. To go on: semflash {given}"


def last_words(settings: Settings, name: str, out: Path, *, learnt: bool) -> str:
    """What a finished training prints last."""
    command = next_command(settings, name, out)
    if learnt:
        return f"trained; next: {command}"
    return f"trained, but no better than guessing: {command} refuses it, and exports it with --force"


def next_command(settings: Settings, name: str, out: Path) -> str:
    """What to do with a finished training."""
    if settings.build.bundle is not None and settings.train.out_dir is not None and settings.path is not None:
        return "semflash export"
    return f"semflash export {shlex.quote(str(out))} {name}.semcodec"
