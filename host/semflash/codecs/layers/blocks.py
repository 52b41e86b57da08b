"""Blocks of layers that decoders and encoders of several families are built of."""

from __future__ import annotations

from typing import Any

from keras import layers

BN_MOMENTUM = 0.95


def upsample(x: Any, channels: int, target: tuple[int, int]) -> Any:
    """Transposed Conv 4x4 stride 2, cut to ``target`` (height, width): the adjoint of a stride of two. Where
    there is nothing to double, a Conv 3x3.
    """
    if tuple(x.shape[1:3]) == target:
        return layers.Conv2D(channels, 3, padding="same")(x)
    x = layers.Conv2DTranspose(channels, 4, strides=2, padding="valid")(x)
    return layers.Cropping2D(tuple((1, x.shape[1 + axis] - 1 - target[axis]) for axis in (0, 1)))(x)


def sizes_upwards(start: tuple[int, ...], end: tuple[int, ...]) -> list[tuple[int, int]]:
    """Heights and widths after each doubling, from just above ``start`` up to ``end``: (4,4), (14,14) gives
    [(7, 7), (14, 14)], the sizes a stride of two with SAME padding passes on its way down."""
    sizes = [(end[0], end[1])]
    while (half := tuple((side + 1) // 2 for side in sizes[0])) > tuple(start):
        sizes.insert(0, (half[0], half[1]))
    return sizes


def conv_bn_relu(x: Any, channels: int, stride: int, *, name: str | None = None) -> Any:
    """Conv 3x3 without bias, BatchNorm, ReLU; ``name`` is that of the last layer."""
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU(name=name)(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))


def residual_pair(x: Any, channels: int, *, name: str | None = None) -> Any:
    """Two 3x3 convolutions beside an identity; ``name`` is that of the last layer."""
    y = conv_bn_relu(x, channels, 1)
    y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
    return layers.ReLU(name=name)(layers.Add()([x, layers.BatchNormalization(momentum=BN_MOMENTUM)(y)]))
