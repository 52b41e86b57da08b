"""MobileNetV2 and ResNet-50 of keras.applications, split where SemanticNN (arXiv 2511.11038) splits them.

| network | head | features at 224 | at 32 |
| --- | --- | --- | --- |
| resnet50 | Conv 7x7 stride 2, BatchNorm, ReLU, maximum 3x3 stride 2 | 56x56x64 | 8x8x64 |
| mobilenetv2 | Conv 3x3 stride 2, BatchNorm, ReLU6 | 112x112x24 | 16x16x24 |

He et al. 2015 (arXiv 1512.03385); Sandler et al. 2018 (arXiv 1801.04381). The paper's MobileNetV2 begins with
24 channels. At width multiplier 1 the stem has 32; at 0.75 it has 24 (32 x 0.75), so 0.75 is the default
here, and it is one of the widths for which keras.applications has ImageNet weights. Another ``alpha`` in the
recipe gives another width; the split stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from semflash.errors import UsageError
from semflash.tasks.keras.files import load_weights_file

#: Network -> the layer whose output is sent.
BACKBONES = {"mobilenetv2": "Conv1_relu", "resnet50": "pool1_pool"}
PAPER_ALPHA = 0.75
SIDE_MIN = 32


def build_backbone(
    name: str,
    recipe: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    say: Callable[[str], None] | None = None,
) -> tuple[keras.Model, str]:
    """The whole network, image float (B, H, W, 3) to logits (B, classes), and the layer to split at.

    Args:
        name: ``mobilenetv2`` or ``resnet50``.
        recipe: ``weights`` names a file, or nothing for random weights; ``split`` overrides the paper's split
            point; ``alpha`` is MobileNetV2's width multiplier.
        say: told of a last layer that stays random.

    Raises:
        UsageError: images that are too small, or not in colour.
        TrainingError: the weights file is missing or does not fit.
    """
    if image_shape[2] != 3 or min(image_shape[:2]) < SIDE_MIN:
        raise UsageError(
            f"{name} takes colour images of at least {SIDE_MIN}x{SIDE_MIN}",
            value=image_shape,
            remedy='network = "residual" in the task recipe, or larger images',
        )
    common = {"input_shape": image_shape, "weights": None, "classes": classes, "classifier_activation": None}
    if name == "mobilenetv2":
        model = keras.applications.MobileNetV2(alpha=float(recipe.get("alpha", PAPER_ALPHA)), **common)
    else:
        model = keras.applications.ResNet50(**common)
    if recipe.get("weights"):
        load_weights_file(model, Path(str(recipe["weights"])), say)
    return model, str(recipe.get("split") or BACKBONES[name])
