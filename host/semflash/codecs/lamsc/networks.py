"""The student that carries importance to the device, and the network that restores the picture."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.codecs.layers.quality_attention import log_ber
from semflash.tasks.networks import build
from semflash.tasks.residual import BN_MOMENTUM

#: Channels of the student.
WIDTHS = (12, 14, 24)
#: What the restoring network adds is this times its output, and the picture that it sees is spread by SPREAD.
STEP, SPREAD = 0.25, 4.0


def build_student(sizes: LamscSizes) -> keras.Model:
    """Image (B, H, W, C) in [0, 1] to one score per block (B, rows, columns, 1), a logit of its importance.

    0.29 M multiply-accumulates at 64x64x3:

        Conv 4x4 stride 4, 12                (16, 16, 12)
        Conv 3x3 stride 2, 14                (8, 8, 14)
        depthwise 3x3, Conv 1x1 24           (8, 8, 24)
        depthwise 3x3                        (8, 8, 24)
        Conv 1x1                             (8, 8, 1)

    Each but the last is followed by BatchNorm and ReLU.
    """
    image = keras.Input(sizes.image_shape, name="image")
    x = _normed(layers.Conv2D(WIDTHS[0], 4, strides=4, use_bias=False)(image))
    x = _normed(layers.Conv2D(WIDTHS[1], 3, strides=2, padding="same", use_bias=False)(x))
    x = _normed(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = _normed(layers.Conv2D(WIDTHS[2], 1, use_bias=False)(x))
    x = _normed(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    scores = layers.Conv2D(1, 1, name="scores")(x)
    return keras.Model(image, scores, name="student")


def _normed(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))


def build_restorer(sizes: LamscSizes) -> keras.Model:
    """What is added to the picture of the inverse transform.

    Inputs: coefficients of deviation 1 (B, rows, columns, K), levels as numbers (B, rows, columns), the BER
    (B, 1), and that picture (B, H, W, C). Output: (B, H, W, C), at first 0 everywhere.

        coefficients, levels one by one, log BER        (8, 8, K + levels + 1)
          Conv 3x3, w0; 2 residual blocks               (8, 8, w0)
          Conv 2x2 transposed, w1; 2 residual blocks    (16, 16, w1)
          Conv 4x4 transposed, w2                       (64, 64, w2)
          + the picture; Conv 3x3 w2, w2, C             (64, 64, C)
    """
    kinds, channels = len(sizes.level_bits), sizes.image_shape[2]
    first, second, third = sizes.restoring_widths
    coefficients = keras.Input((*sizes.grid, sizes.coefficients), name="coefficients")
    levels = keras.Input(sizes.grid, name="levels")
    ber = keras.Input((1,), name="ber")
    base = keras.Input(sizes.image_shape, name="base")
    told = Told(kinds, name="told")([levels, ber])
    x = layers.Concatenate()([coefficients, told])
    x = layers.Conv2D(first, 3, padding="same", activation="relu")(x)
    x = _residual(_residual(x, first), first)
    x = layers.Conv2DTranspose(second, 2, strides=2)(x)
    x = _residual(_residual(x, second), second)
    x = layers.Conv2DTranspose(third, 4, strides=4)(x)
    x = layers.Concatenate()([x, Spread(name="spread")(base)])
    x = layers.Conv2D(third, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(third, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros", name="more")(x)
    return keras.Model([coefficients, levels, ber, base], x, name="restorer")


def _residual(x: Any, channels: int) -> Any:
    y = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(y)
    return layers.Add()([x, y])


class Told(layers.Layer):
    """Levels (B, rows, columns) one by one, and the logarithm of the BER (B, 1): (B, rows, columns, levels +
    1).

    Args:
        kinds: Levels.
    """

    def __init__(self, kinds: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = kinds

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: levels, BER."""
        levels, ber = inputs
        parts = [
            ops.cast(ops.abs(levels - float(level)) < 0.5, "float32")[..., None]
            for level in range(self.kinds)
        ]
        gate = ops.reshape(log_ber(ber), (-1, 1, 1, 1)) + 0.0 * parts[0]
        return ops.concatenate([*parts, gate], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "kinds": self.kinds}


class Spread(layers.Layer):
    """A picture in [0, 1] around 0."""

    def call(self, picture: Any) -> Any:
        """(B, H, W, C)."""
        return SPREAD * picture - SPREAD / 2


def build_classifier(sizes: LamscSizes) -> keras.Model:
    """Picture (B, H, W, C) in [0, 1] to logits (B, classes): a task network as one model."""
    recipe = {
        "network": sizes.classifier,
        "head_channels": sizes.classifier_head,
        "widths": sizes.classifier_widths,
    }
    head, tail = build(recipe, sizes.image_shape, sizes.classes)
    picture = keras.Input(sizes.image_shape, name="picture")
    return keras.Model(picture, tail(head(picture)), name="classifier")
