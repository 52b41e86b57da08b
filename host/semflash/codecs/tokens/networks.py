"""The device's convolutions: an image to features, one for each token."""

from __future__ import annotations

import keras

from semflash.codecs.tokens.sizes import TokensSizes
from semflash.tasks.residual import convolution


def build_stem(sizes: TokensSizes) -> keras.Model:
    """Image (B, H, W, C) in [0, 1] to features (B, H/8, W/8, width).

    Three convolutions 3x3 of stride 2 with BatchNorm, the first two with ReLU. 1.88 M multiply-accumulates
    for 64x64x3.
    """
    image = keras.Input(sizes.image_shape, name="image")
    x = image
    for channels in sizes.stem:
        x = convolution(x, channels, stride=2)
    x = convolution(x, sizes.width, stride=2, activation=False)
    return keras.Model(image, x, name="stem")
