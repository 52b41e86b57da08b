"""What a network does to an image before its first layer, as part of the head: images stay in [0, 1] outside.

    network input = (image - mean) / std, channels in reverse order if the network wants blue first

It is one frozen 1x1 convolution, so that it is saved, trained around and quantised like any other layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from semflash.errors import UsageError
from semflash.tasks.keras.input_range import Beginning
from semflash.tasks.presets import PRESETS as PRESETS

#: Std of a network that takes pixels of 0..255.
PIXELS = (1 / 255,)


def with_preprocessing(head: keras.Model, recipe: Mapping[str, Any]) -> keras.Model:
    """The head for images in [0, 1] of one that takes its network's own input.

    Args:
        head: float (B, H, W, C) to features.
        recipe: with ``mean``, ``std`` (empty, one number or one per channel, red first) and ``bgr``.

    Raises:
        UsageError: numbers that do not fit the channels, or a std of 0.
    """
    shape = head.input_shape[1:]
    kernel, bias = matrix_of(shape[2], recipe.get("mean", ()), recipe.get("std", ()), bool(recipe.get("bgr")))
    if np.array_equal(kernel, np.eye(shape[2], dtype=np.float32)) and not bias.any():
        return head
    layer = keras.layers.Conv2D(shape[2], 1, trainable=False, dtype="float32", name="preprocess")
    image = keras.Input(shape, name="image")
    model = keras.Model(image, head(layer(image)), name="head")
    layer.set_weights([kernel[None, None], bias])
    return model


def own_input(recipe: Mapping[str, Any], beginning: Beginning) -> dict[str, Any]:
    """``mean``, ``std`` and ``bgr`` of what a network takes: the recipe's. Where that has neither mean nor
    std, they are what the network's first steps are made for: pixels of 0..255 if they divide by 255, say."""
    mean, std = tuple(recipe.get("mean", ())), tuple(recipe.get("std", ()))
    if not mean and not std and beginning.whole.for_pixels:
        std = PIXELS
    return {"mean": mean, "std": std, "bgr": bool(recipe.get("bgr"))}


def with_beginning(recipe: Mapping[str, Any], beginning: Beginning) -> dict[str, Any]:
    """The recipe of a head that was made without its network's first steps: preprocessing does them, too."""
    own = own_input(recipe, beginning)
    mean, std = beginning.fixed.combined(own["mean"], own["std"], own["bgr"])
    return {**recipe, "mean": mean, "std": std}


def matrix_of(
    channels: int, mean: Sequence[float], std: Sequence[float], bgr: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel float32 (C, C) and bias float32 (C,): network input = image @ kernel + bias.

    >>> kernel, bias = matrix_of(3, (0.5,), (0.5,), False)
    >>> float(kernel[0, 0]), float(bias[0])
    (2.0, -1.0)
    """
    means, stds = _per_channel("mean", mean, channels, 0.0), _per_channel("std", std, channels, 1.0)
    if not (stds > 0).all():
        raise UsageError("std is above 0", value=list(std), remedy="leave it out for none")
    kernel = np.diag(1.0 / stds)
    bias = -means / stds
    if bgr:
        kernel, bias = kernel[:, ::-1], bias[::-1]
    return np.ascontiguousarray(kernel, np.float32), np.ascontiguousarray(bias, np.float32)


def _per_channel(what: str, values: Sequence[float], channels: int, default: float) -> np.ndarray:
    numbers = np.asarray(list(values) or [default], np.float64)
    if len(numbers) not in (1, channels) or not np.isfinite(numbers).all():
        raise UsageError(
            f"{what} is one number, or one per channel", value=list(values), remedy=f"{channels} numbers"
        )
    return np.broadcast_to(numbers, (channels,))
