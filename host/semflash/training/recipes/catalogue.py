"""The recipes that come with semflash, by name."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any, TypeVar

from semflash.data.augment import Augmentation
from semflash.errors import UsageError
from semflash.tasks.names import DETECTOR, VIT
from semflash.training.recipes.large import LARGE_CODECS, LARGE_TASKS
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe

T = TypeVar("T")
#: Few stamps behind many images: parts of an image are covered, so that no single part decides.
_STAMPS = Augmentation(flip=0.5, shift_px=2, erase=0.3)

_PHOTOS = Augmentation(flip=0.5, shift_px=6, erase=0.3)

#: Digits are not mirrored.
_DIGITS = Augmentation(flip=0.0, shift_px=2)

#: What a teacher's stored views are made of; without a teacher the same is drawn anew for each image.
_TOSC_STAMPS = Augmentation(flip=0.5, shift_px=4, erase=0.3, gain=0.15, mix=0.5)
#: Of both TOSC recipes. The teacher is named by --set teacher=STORE; without one they learn from labels
#: alone.
_TOSC: dict[str, Any] = {
    "batch": 64,
    "autoencoder_epochs": 0,
    "task_epochs": 20,
    "task_peak": 3e-3,
    "weight_decay": 0.01,
    "distillation_weight": 0.7,
    "temperature": 3.0,
    "int8_epochs": 0,
}

_VIT: dict[str, Any] = {
    "network": VIT,
    "widths": (24, 32, 64),
    "batch": 64,
    "augmentation": Augmentation(flip=0.5, shift_px=4, gain=0.1),
}

_TASKS = (
    TaskRecipe("fashion-mnist"),
    TaskRecipe("mnist", dataset="mnist", widths=(16, 32, 64), epochs=8, augmentation=_DIGITS),
    TaskRecipe("stamps", dataset="stamps", epochs=10, augmentation=_STAMPS),
    TaskRecipe(
        "stamps-scenes",
        dataset="stamps-scenes",
        network=DETECTOR,
        widths=(24, 48, 64),
        epochs=10,
        batch=64,
        image_size=64,
        augmentation=Augmentation(flip=0.5, shift_px=4),
    ),
    # From random weights: objects-64 has seen stamps that are tested here.
    TaskRecipe(
        "stamps-focus",
        dataset="stamps-focus",
        widths=(16, 32, 64),
        epochs=8,
        batch=64,
        image_size=64,
        augmentation=Augmentation(flip=0.5, shift_px=6, erase=0.2, gain=0.1),
    ),
    # A transformer learns hardly anything from cluttered scenes at first, so it begins with single items.
    TaskRecipe("fashion-items", dataset="fashion-items", epochs=3, peak=2e-3, image_size=32, **_VIT),
    TaskRecipe(
        "fashion-scenes-vit",
        dataset="fashion-scenes",
        epochs=7,
        peak=2e-3,
        image_size=64,
        first="fashion-items",
        **_VIT,
    ),
    # A wider detector than any device is asked for: the teacher of scenes-tosc.
    TaskRecipe(
        "scenes-teacher",
        dataset="stamps-scenes",
        network=DETECTOR,
        widths=(32, 64, 128),
        epochs=10,
        batch=64,
        image_size=64,
        augmentation=Augmentation(flip=0.5, shift_px=4),
    ),
    TaskRecipe("fashion-mnist-small", widths=(16, 32, 64)),
    TaskRecipe("fashion-mnist-brief", widths=(16, 32, 64), epochs=8),
    # Photographs of one's own: `semflash new` puts folder, size, batch and steps into semflash.toml.
    TaskRecipe(
        "photos",
        dataset="./data",
        image_size=64,
        widths=(16, 32, 64),
        epochs=30,
        batch=16,
        augmentation=_PHOTOS,
        weights="objects-64",
        peak=1e-3,
    ),
    TaskRecipe("tiny", epochs=1, batch=32, head_channels=4, widths=(8, 8), train_images=256),
)

#: From one short comparison on the validation split: a convolution before the first stride helps at 5 % BER.
_FASHION_ENCODER = {"stem": 12, "middle": [[16, 1], [20, 2]]}

# The zoo goes without these terms and without the stage on the device's codes: in one training at full length
# (48 bytes, 14 epochs, seed 0, tail of 16, 32 and 64 channels) validation was lower with them at every rate.
# At 24 and 48 bytes: the learning rate that the search chose, and 20 epochs, because training and validation
# accuracy of 14 were nearly the same.
# LimitNet's payload may be cut anywhere, so training keeps any share of the values from a tenth on. Channels
# in a fixed order, saliency deciding within each, was the best of the comparison's trials on validation. Task
# network, images and epochs are fewer than the others', so that the bundle is small and soon made again.
_CODECS = (
    CodecRecipe("fashion-mnist-24", sizes=_FASHION_ENCODER | {"latent": 4}, task_epochs=20, task_peak=3e-3),
    CodecRecipe("fashion-mnist-48", sizes=_FASHION_ENCODER | {"latent": 8}, task_epochs=20, task_peak=3e-3),
    CodecRecipe("fashion-mnist-96", sizes=_FASHION_ENCODER | {"latent": 16}, task_epochs=14),
    CodecRecipe(
        "fashion-mnist-limitnet",
        family="limitnet",
        task="fashion-mnist-brief",
        sizes=_FASHION_ENCODER | {"latent": 7, "decoder_width": 32, "channel_step": 1.0, "keep_low": 0.1},
        autoencoder_epochs=1,
        task_epochs=6,
        task_peak=3e-3,
        train_images=20_000,
    ),
    CodecRecipe(
        "mnist-12",
        dataset="mnist",
        sizes=_FASHION_ENCODER | {"latent": 2, "decoder_width": 48},
        augmentation=_DIGITS,
        task_epochs=8,
    ),
    CodecRecipe(
        "stamps-48",
        dataset="stamps",
        sizes=_FASHION_ENCODER | {"latent": 8, "decoder_width": 48},
        autoencoder_epochs=2,
        task_epochs=10,
        augmentation=_STAMPS,
    ),
    CodecRecipe(
        "stamps-detect",
        dataset="stamps-scenes",
        batch=64,
        autoencoder_epochs=2,
        task_epochs=8,
        sizes={"stem": 12, "middle": [[16, 2]], "latent": 4, "decoder_width": 48},
        augmentation=Augmentation(flip=0.5, shift_px=4),
    ),
    CodecRecipe(
        "photos",
        dataset="./data",
        task="photos",
        sizes=_FASHION_ENCODER | {"middle": [[16, 2], [20, 2]], "latent": 16, "decoder_width": 48},
        batch=16,
        autoencoder_epochs=10,
        task_epochs=50,
        augmentation=_PHOTOS,
        start="objects-64",
        peak=1e-3,
        task_peak=1e-3,
        feature_weight=0.3,
    ),
    CodecRecipe(
        "stamps-tosc",
        dataset="stamps",
        family="tosc",
        augmentation=_TOSC_STAMPS,
        **_TOSC,
    ),
    # Boxes: 64 places of an 8x8 map send two symbols each. A mixture of scenes has no boxes of its own.
    CodecRecipe(
        "scenes-tosc",
        dataset="stamps-scenes",
        family="tosc",
        sizes={"task": "boxes", "places": "local", "latent": 4, "decoder_width": 48, "dropout": 0.0},
        augmentation=Augmentation(flip=0.5, shift_px=4),
        **(_TOSC | {"task_epochs": 8, "distillation_weight": 1.0, "temperature": 2.0}),
    ),
    CodecRecipe(
        "fashion-mnist-tosc-12",
        family="tosc",
        sizes={"channel": "bits"},
        augmentation=Augmentation(flip=0.5, shift_px=2, mix=0.5),
        **(_TOSC | {"task_epochs": 12}),
    ),
    CodecRecipe(
        "scenes-multires",
        dataset="fashion-scenes",
        family="multires",
        task="fashion-scenes-vit",
        batch=64,
        autoencoder_epochs=2,
        task_epochs=4,
        task_peak=4e-3,
        polish_epochs=2,
        polish_peak=1e-3,
        weight_decay=0.01,
        augmentation=Augmentation(flip=0.5, shift_px=4),
    ),
    CodecRecipe(
        "scenes-tokens",
        dataset="fashion-scenes",
        family="tokens",
        task="fashion-scenes-vit",
        batch=64,
        autoencoder_epochs=2,
        peak=1e-3,
        task_epochs=1,
        task_peak=1e-3,
        polish_epochs=3,
        polish_peak=1e-3,
        weight_decay=0.02,
        distillation_weight=0.5,
        augmentation=Augmentation(flip=0.5, shift_px=4),
    ),
    CodecRecipe(
        "focus-lamsc",
        dataset="stamps-focus",
        family="lamsc",
        sizes={"classifier_widths": [16, 32, 64]},
        batch=32,
        autoencoder_epochs=2,
        peak=1e-3,
        task_epochs=6,
        task_peak=4e-3,
        polish_epochs=1,
        polish_peak=1e-3,
        weight_decay=0.01,
        augmentation=Augmentation(flip=0.5, shift_px=8),
    ),
    CodecRecipe(
        "tiny",
        sizes={"stem": 4, "middle": [[4, 2]], "latent": 4, "decoder_width": 8},
        batch=32,
        autoencoder_epochs=1,
        task_epochs=1,
        train_images=256,
    ),
)

#: What the comparison budget fixes; sizes apart, the same for every family.
COMPARISON_IMAGES = 20_000
COMPARISON_EPOCHS = (1, 4)
COMPARISON_DECODER_WIDTH = 32


def comparison(recipe: CodecRecipe, *, seed: int = 0, **changes: Any) -> CodecRecipe:
    """The recipe within the comparison budget: 20,000 training images, 1 epoch of stage 1, 4 of stage 2; 5 of
    stage 2 for a recipe without stage 1.

    Args:
        changes: fields to replace; ``sizes`` are merged into the recipe's.
    """
    sizes = recipe.sizes | {"decoder_width": COMPARISON_DECODER_WIDTH} | changes.pop("sizes", {})
    first, second = COMPARISON_EPOCHS if recipe.autoencoder_epochs else (0, sum(COMPARISON_EPOCHS))
    budget = {
        "seed": seed,
        "train_images": COMPARISON_IMAGES,
        "autoencoder_epochs": first,
        "task_epochs": second,
        "polish_epochs": 0,
        "int8_epochs": 0,
        "sizes": sizes,
    }
    return replace(recipe, **(budget | changes))


def as_released(recipe: CodecRecipe) -> CodecRecipe:
    """The same budget for SemanticNN as its training code was released, whose BER range lacks 0.01 %."""
    return replace(
        recipe,
        family="semanticnn-released",
        ber=replace(recipe.ber, low=2.5e-3, high=5e-2),
        estimate_noise=0.0,
    )


TASK_RECIPES = {recipe.name: recipe for recipe in _TASKS}
CODEC_RECIPES = {recipe.name: recipe for recipe in _CODECS}


def all_recipes() -> tuple[dict[str, TaskRecipe], dict[str, CodecRecipe]]:
    """Task and codec recipes by name, with those for large data (:mod:`semflash.training.recipes.large`)."""
    return (
        TASK_RECIPES | {recipe.name: recipe for recipe in LARGE_TASKS},
        CODEC_RECIPES | {recipe.name: recipe for recipe in LARGE_CODECS},
    )


def task_recipe(name: str) -> TaskRecipe:
    """Look a task recipe up by name.

    Raises:
        UsageError: no such recipe.
    """
    return _look_up(all_recipes()[0], name)


def codec_recipe(name: str) -> CodecRecipe:
    """Look a codec recipe up by name.

    Raises:
        UsageError: no such recipe.
    """
    return _look_up(all_recipes()[1], name)


def _look_up(recipes: dict[str, T], name: str) -> T:
    if name not in recipes:
        near = difflib.get_close_matches(name, recipes, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            "no such recipe", value=name[:80], remedy=f"{meant}There are {', '.join(sorted(recipes))}"
        )
    return recipes[name]
