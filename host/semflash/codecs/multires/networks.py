"""The student that finds what matters on the device, and the tail that names it on the edge."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.multires.sizes import MultiresSizes
from semflash.errors import UsageError
from semflash.tasks.residual import BN_MOMENTUM, convolution
from semflash.tasks.transformer import build_transformer

WIDTHS = (8, 16, 24, 32)


def build_student(sizes: MultiresSizes) -> keras.Model:
    """Image (B, H, W, C) in [0, 1] to one score per patch (B, rows, columns, 1), a logit of the attention.

    0.85 M multiply-accumulates at 64x64x3 and a patch of 8:

        Conv 3x3 stride 2, 8 | 16 | 24       (8, 8, 24)
        depthwise 3x3, Conv 1x1 32           (8, 8, 32)
        depthwise 5x5                        (8, 8, 32)
        Conv 1x1                             (8, 8, 1)

    Each but the last is followed by BatchNorm and ReLU. Patches of 4 or 16 pixels have one stride less or
    one more.

    Raises:
        UsageError: No such patches.
    """
    strides = {4: (2, 2, 1), 8: (2, 2, 2), 16: (4, 2, 2)}
    if sizes.patch not in strides:
        raise UsageError("the student knows patches of 4, 8 and 16", value=sizes.patch)
    image = keras.Input(sizes.image_shape, name="image")
    x = image
    for channels, stride in zip(WIDTHS[:3], strides[sizes.patch], strict=True):
        x = convolution(x, channels, stride=stride)
    x = depthwise(x, 3)
    x = convolution(x, WIDTHS[3], kernel=1)
    x = depthwise(x, 5)
    scores = layers.Conv2D(1, 1, name="scores")(x)
    return keras.Model(image, scores, name="student")


def depthwise(x: Any, kernel: int) -> Any:
    """Depthwise convolution without bias, BatchNorm, ReLU."""
    x = layers.DepthwiseConv2D(kernel, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=BN_MOMENTUM)(x)
    return layers.ReLU()(x)


def build_classifier(sizes: MultiresSizes) -> keras.Model:
    """Picture (B, H, W, C) in [0, 1] to logits (B, classes): the network ``vit`` as one model."""
    head, tail = build_transformer(sizes.image_shape, sizes.classes, sizes.classifier_widths)
    picture = keras.Input(sizes.image_shape, name="picture")
    return keras.Model(picture, tail(head(picture)), name="classifier")


def luminance(images: Any) -> Any:
    """Of images (B, H, W, C) in [0, 1]: (B, H, W), as the device has it."""
    if images.shape[-1] == 1:
        return images[..., 0]
    return ops.sum(images * ops.convert_to_tensor([77 / 256, 150 / 256, 29 / 256]), axis=-1)
