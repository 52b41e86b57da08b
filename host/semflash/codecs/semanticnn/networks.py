"""The two networks of a convolutional feature codec: the device's graph and the edge's decoder."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.layers.blocks import BN_MOMENTUM, conv_bn_relu, residual_pair, sizes_upwards, upsample
from semflash.codecs.layers.gdn import GDN, PositivePReLU
from semflash.codecs.layers.quality_attention import QualityAttention
from semflash.codecs.semanticnn.sizes import PAPER, PAPER_STRIDE, SemanticNNSizes
from semflash.errors import UsageError
from semflash.tasks.keras.config import rebuild


def build_device_graph(sizes: SemanticNNSizes) -> keras.Model:
    """Image float (B, H, W, C) in [0, 1] to the latent before GDN, float (B, h, w, latent)."""
    image = keras.Input(sizes.image_shape, name="image")
    if sizes.encoder == PAPER:
        return keras.Model(image, _behind_head(image, sizes), name="device_graph")
    x = layers.Conv2D(sizes.stem, 3, padding="same", activation="relu", name="stem")(image)
    x = layers.MaxPooling2D(name="pool")(x)
    x = _centre_crop(x, sizes.cropped_map)
    *middle, last = sizes.strides
    for place, ((channels, _), stride) in enumerate(zip(sizes.middle, middle, strict=True), 1):
        x = conv_bn_relu(x, channels, stride, name=f"middle_{place}")
    x = layers.Conv2D(sizes.latent, 3, strides=last, padding="same", name="latent")(x)
    return keras.Model(image, x, name="device_graph")


def _behind_head(image: Any, sizes: SemanticNNSizes) -> Any:
    """The paper's encoder: the head of the task network, frozen, and Conv 4x4 stride 4."""
    if sizes.head is None:
        raise UsageError(
            "the paper's encoder begins with the task network's head",
            value="sizes.head is empty",
            remedy="train the codec on a task network, which puts its head in",
        )
    head = rebuild(sizes.head, "sizes.head")
    head.trainable = False
    x = head(image)
    if tuple(x.shape[1:]) != tuple(sizes.feature_shape):
        raise UsageError(
            "the head's features are not those of the sizes", value=f"{x.shape[1:]}, {sizes.feature_shape}"
        )
    x = _centre_crop(x, sizes.cropped_map)
    return layers.Conv2D(sizes.latent, PAPER_STRIDE, strides=PAPER_STRIDE, padding="same", name="latent")(x)


def middle(maps: Any, size: tuple[int, int]) -> Any:
    """The middle (B, h, w, C) of maps (B, H, W, C), as the encoder crops and the decoder pads."""
    height, width = size
    top, left = (maps.shape[1] - height) // 2, (maps.shape[2] - width) // 2
    return maps[:, top : top + height, left : left + width]


def on_grid(maps: Any, size: tuple[int, int]) -> Any:
    """Maps of the features' positions on the latent's coarser grid, by averaging; mean 1 per image.

    Args:
        maps: float (B, H, W, 1), >= 0. size: (h, w), at most (H, W).

    Returns:
        float (B, h, w, 1).
    """
    steps = tuple(-(-have // want) for have, want in zip(maps.shape[1:3], size, strict=True))
    pooled = ops.average_pool(maps, steps, strides=steps, padding="same")
    if tuple(pooled.shape[1:3]) != tuple(size):
        raise UsageError(
            "the features' grid does not reduce to the latent's",
            value=f"{maps.shape[1:3]} to {size}",
            remedy="xai_code_weight=0, or other strides",
        )
    return pooled / (ops.mean(pooled, axis=(1, 2), keepdims=True) + 1e-12)


def build_decoder(
    latent_shape: tuple[int, int, int],
    feature_shape: tuple[int, int, int],
    width: int,
    *,
    gdn: bool = True,
    ber_aware: bool = True,
    inner: tuple[int, int] | None = None,
) -> keras.Model:
    """[latent (B, h, w, C), ber (B, 1)] to features (B, *feature_shape), >= 0.

    Args:
        width: channels inside.
        gdn: inverse GDN at the middle sizes.
        ber_aware: False: the gates see the same number whatever the BER is.
        inner: height and width of what is decoded, 0 stands around it; None: all of the features.
    """
    latent = keras.Input(latent_shape, name="latent")
    ber = keras.Input((1,), name="ber")
    x = conv_bn_relu(latent, width, 1, name="widen")
    for place in (1, 2):
        gate = QualityAttention(blind=not ber_aware, name=f"gate_{place}")
        x = gate([residual_pair(x, width, name=f"pair_{place}"), ber])
    targets = sizes_upwards(latent_shape[:2], inner or feature_shape[:2])
    for place, target in enumerate(targets[:-1], 1):
        x = layers.BatchNormalization(momentum=BN_MOMENTUM)(upsample(x, width * 3 // 4, target))
        x = PositivePReLU(alpha_init=0.25)(GDN(inverse=True)(x) if gdn else x)
        x = QualityAttention(blind=not ber_aware, name=f"up_{place}")([x, ber])
    x = layers.ReLU(name="features")(upsample(x, feature_shape[2], targets[-1]))
    return keras.Model([latent, ber], _pad_back(x, feature_shape[:2]), name="decoder")


def _centre_crop(x: Any, target: tuple[int, int]) -> Any:
    """The middle of a map, as a depthwise convolution with a single 1: a cut that every int8 engine has.

    It costs (H - h + 1) (W - w + 1) multiply-accumulates per value of the result.
    """
    margins = (x.shape[1] - target[0], x.shape[2] - target[1])
    if margins == (0, 0):
        return x
    kernel = np.zeros((margins[0] + 1, margins[1] + 1, x.shape[3], 1), np.float32)
    kernel[margins[0] // 2, margins[1] // 2] = 1.0
    crop = layers.DepthwiseConv2D(
        kernel.shape[:2],
        padding="valid",
        use_bias=False,
        trainable=False,
        name="crop",
        depthwise_initializer=lambda *_, **__: keras.ops.convert_to_tensor(kernel),
    )
    return crop(x)


def _pad_back(x: Any, target: tuple[int, int]) -> Any:
    margins = (target[0] - x.shape[1], target[1] - x.shape[2])
    if margins == (0, 0):
        return x
    return layers.ZeroPadding2D(tuple((m // 2, m - m // 2) for m in margins), name="around")(x)
