"""The length of a training in steps instead of epochs: few images then get as many steps as many would."""

from __future__ import annotations

import dataclasses
import math

from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe

#: Share of a codec's steps that its first stage, without the task, takes.
FIRST_STAGE_SHARE = 0.15


def steps_of_an_epoch(images: int, batch: int) -> int:
    """Full batches in so many images, at least 1.

    >>> steps_of_an_epoch(173, 16), steps_of_an_epoch(5, 16)
    (10, 1)
    """
    return max(1, images // batch)


def task_in_steps(recipe: TaskRecipe, steps: int, images: int) -> TaskRecipe:
    """The recipe with as many epochs as it takes for at least ``steps`` steps on so many images."""
    used = images if recipe.train_images is None else min(images, recipe.train_images)
    return dataclasses.replace(recipe, epochs=math.ceil(steps / steps_of_an_epoch(used, recipe.batch)))


def codec_in_steps(recipe: CodecRecipe, steps: int, images: int) -> CodecRecipe:
    """The recipe with epochs for at least ``steps`` steps in both stages together.

    Stage 1 takes 15 % of them, if the recipe has it; polishing and the stage on the device's codes come on
    top as the recipe says.
    """
    used = images if recipe.train_images is None else min(images, recipe.train_images)
    epoch = steps_of_an_epoch(used, recipe.batch)
    first = math.ceil(FIRST_STAGE_SHARE * steps / epoch) if recipe.autoencoder_epochs else 0
    second = max(1, math.ceil(steps / epoch) - first)
    return dataclasses.replace(recipe, autoencoder_epochs=first, task_epochs=second)
