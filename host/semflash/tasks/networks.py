"""Task networks by name, each as head (device side, the teacher of the codec) and tail (edge side).

| network | what | split, features at 224 and at 32 |
| --- | --- | --- |
| residual | :mod:`semflash.tasks.residual` | after the first convolution stage |
| detector | :mod:`semflash.tasks.detector`, the same head | the same |
| vit | :mod:`semflash.tasks.transformer` | behind its convolutions |
| mobilenetv2, resnet50 | :mod:`semflash.tasks.backbones` | as in the paper |
| keras | any Keras model file | the output of a named layer |
| onnx | what ``semflash import`` made | a named tensor |

The structure of the first three follows from the recipe. That of the others stands in the run directory's
``network.json``; the weights stand in ``weights.npz`` for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from semflash.array_files import write_json
from semflash.errors import TrainingError, UsageError
from semflash.tasks.backbones import BACKBONES, build_backbone
from semflash.tasks.keras.config import describe, rebuild
from semflash.tasks.keras.cuts import cut, cut_behind_scaling
from semflash.tasks.names import DETECTOR, KERAS, ONNX, RESIDUAL, VIT
from semflash.tasks.preprocessing import with_beginning, with_preprocessing
from semflash.tasks.residual import build_head, build_tail
from semflash.tasks.start import begin_with

NETWORK_FILE = "network.json"
NETWORKS = (RESIDUAL, DETECTOR, VIT, *BACKBONES, KERAS, ONNX)
#: Networks whose structure follows from the recipe.
OWN = (RESIDUAL, DETECTOR, VIT)
_NETWORK_BYTES = 64 << 20

Parts = tuple[keras.Model, keras.Model]


def build(
    recipe: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    say: Callable[[str], None] | None = None,
) -> Parts:
    """Head (float images (B, H, W, C) in [0, 1] to features) and tail (features to logits) of a recipe.

    Args:
        recipe: fields of a TaskRecipe. Weights come from the file it names, or are random: no download.
        say: told what the user should know, such as a last layer that a weights file leaves at random.

    Raises:
        UsageError: no such network.
        TrainingError: a file is missing or does not fit, or the split cannot be made.
    """
    name = network_of(recipe)
    if name in (RESIDUAL, DETECTOR):
        head = build_head(image_shape, int(recipe["head_channels"]))
        tail = residual_tail(recipe, head.output_shape[1:], classes)
        if name == RESIDUAL and recipe.get("weights"):
            begin_with(head, tail, str(recipe["weights"]))
        return head, tail
    if name == VIT:
        from semflash.tasks.transformer import begin_transformer, build_transformer

        head, tail = build_transformer(image_shape, classes, tuple(recipe["widths"]))
        if recipe.get("weights"):
            begin_transformer(head, tail, str(recipe["weights"]))
        return head, tail
    if name == ONNX:
        raise TrainingError(
            "an ONNX network is imported, not trained from a recipe",
            remedy="semflash import MODEL.onnx --split NAME --out DIR, then semflash train RECIPE --task DIR",
        )
    if name == KERAS:
        from semflash.tasks.keras.files import read_network

        model = read_network(recipe, image_shape, classes)
        head, tail, beginning = cut_behind_scaling(model, str(recipe["split"]))
        if (
            say is not None
            and beginning.whole.for_pixels
            and not recipe.get("mean")
            and not recipe.get("std")
        ):
            say("the network scales pixels of 0..255 itself, and is given those")
        return with_preprocessing(head, with_beginning(recipe, beginning)), tail
    model, split = build_backbone(name, recipe, image_shape, classes, say)
    head, tail = cut(model, split)
    return with_preprocessing(head, recipe), tail


def residual_tail(recipe: Mapping[str, Any], feature_shape: tuple[int, ...], classes: int) -> keras.Model:
    """An untrained tail of the residual network, of the detector, or of the transformer."""
    shape, widths = (feature_shape[0], feature_shape[1], feature_shape[2]), tuple(recipe["widths"])
    if network_of(recipe) == VIT:
        from semflash.tasks.transformer import build_transformer_tail

        return build_transformer_tail(shape, classes)
    if network_of(recipe) == DETECTOR:
        from semflash.tasks.detector import build_detector_tail

        return build_detector_tail(shape, classes, widths)
    return build_tail(shape, classes, widths)


def keep(out_dir: Path, recipe: Mapping[str, Any], **parts: keras.Model) -> None:
    """Write ``network.json`` of a run whose network no recipe describes; nothing for the others."""
    if network_of(recipe) not in OWN:
        write_json(out_dir / NETWORK_FILE, {name: describe(model) for name, model in parts.items()})


def restore(
    run_dir: Path, recipe: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int
) -> Parts:
    """Head and tail of a task run, weights not yet in place.

    Raises:
        TrainingError: ``network.json`` is missing or damaged.
    """
    if network_of(recipe) in OWN:
        return build({**recipe, "weights": ""}, image_shape, classes)  # what it began with is learnt over
    return _kept(run_dir, "head"), _kept(run_dir, "tail")


def restore_tail(
    run_dir: Path, recipe: Mapping[str, Any], feature_shape: tuple[int, ...], classes: int
) -> keras.Model:
    """The tail alone, of a task run or of a codec run; weights not yet in place."""
    if network_of(recipe) in OWN:
        return residual_tail(recipe, feature_shape, classes)
    return _kept(run_dir, "tail")


def clone_tail(tail: keras.Model) -> keras.Model:
    """A tail of the same structure with its own copy of the weights."""
    clone = keras.models.clone_model(tail)
    clone.set_weights(tail.get_weights())
    return clone


def network_of(recipe: Mapping[str, Any]) -> str:
    """The network that a recipe names; older runs name none and are residual.

    Raises:
        UsageError: no such network.
    """
    name = str(recipe.get("network", RESIDUAL))
    if name not in NETWORKS:
        raise UsageError("no such task network", value=name, remedy=f"use one of {', '.join(NETWORKS)}")
    return name


def _kept(run_dir: Path, part: str) -> keras.Model:
    path = run_dir / NETWORK_FILE
    try:
        if path.stat().st_size > _NETWORK_BYTES:
            raise TrainingError(f"the file is larger than {_NETWORK_BYTES >> 20} MiB", value=path)
        config = json.loads(path.read_text(encoding="utf-8"))[part]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"cannot read the structure of the {part}", value=path, remedy="train or import it again"
        ) from error
    return rebuild(config, f"the {part} in {path}")
