"""Recipes: everything that decides what a training run gives, as frozen dataclasses with a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash.errors import UsageError
from semflash.training.augment import Augmentation


@dataclass(frozen=True)
class TaskRecipe:
    """How a task network is trained.

    Attributes:
        dataset: a name or path for :func:`semflash.training.datasets.load_dataset`.
        head_channels, widths: sizes of the network, see :mod:`semflash.training.tasknet`.
        train_images: use only the first so many training images; None: all.
    """

    name: str
    dataset: str = "fashion-mnist"
    seed: int = 0
    epochs: int = 18
    batch: int = 128
    peak: float = 3e-3
    weight_decay: float = 0.05
    ema_decay: float = 0.998
    label_smoothing: float = 0.05
    augmentation: Augmentation = field(default_factory=Augmentation)
    head_channels: int = 16
    widths: tuple[int, ...] = (32, 64, 128)
    train_images: int | None = None


TASK_RECIPES: dict[str, TaskRecipe] = {
    recipe.name: recipe
    for recipe in (
        TaskRecipe("fashion-mnist"),
        TaskRecipe(
            "tiny", epochs=1, batch=32, head_channels=4, widths=(8, 8), train_images=256, label_smoothing=0.0
        ),
    )
}


def task_recipe(name: str) -> TaskRecipe:
    """Look a task recipe up by name.

    Raises:
        UsageError: no such recipe.
    """
    if name not in TASK_RECIPES:
        raise UsageError("no such recipe", value=name, remedy=f"use one of {', '.join(sorted(TASK_RECIPES))}")
    return TASK_RECIPES[name]
