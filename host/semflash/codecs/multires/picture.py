"""From what arrived to the picture: each patch decoded at its level, the mean colour where none was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.multires.coder import FromBytes, LevelCoder
from semflash.codecs.multires.sizes import MultiresSizes

#: Name of the edge graph.
PICTURE = "picture"
#: Values of a channel that share a code of the mean colour, and the middle of the first ones.
STEP, MIDDLE = 16.0, 7.5


def in_patches(images: Any, side: int) -> Any:
    """(B, H, W, C) to patches in raster order, channels last within them: (B, patches, side side C)."""
    _, height, width, channels = images.shape
    rows, columns = height // side, width // side
    parts = ops.reshape(images, (-1, rows, side, columns, side, channels))
    return ops.reshape(ops.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, rows * columns, side * side * channels))


def whole(patches: Any, image_shape: tuple[int, int, int], side: int) -> Any:
    """The reverse of :func:`in_patches`."""
    height, width, channels = image_shape
    parts = ops.reshape(patches, (-1, height // side, width // side, side, side, channels))
    return ops.reshape(ops.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))


class Composed(layers.Layer):
    """Decoded patches of every level (B, n, values), levels (B, rows, columns) and background (B, C) to the
    picture (B, H, W, C) in [0, 1]."""

    def __init__(self, image_shape: tuple[int, int, int], side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        height, width, channels = image_shape
        self.image_shape, self.side = (height, width, channels), side

    @staticmethod
    def shades(background: Any) -> Any:
        """Values in [0, 1] of codes of the mean colour."""
        return (background * STEP + MIDDLE) / 255.0

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: decoded patches of each level from 1 on, levels, background."""
        *decoded, levels, background = inputs
        flat = ops.reshape(levels, (-1, decoded[0].shape[1], 1))
        shade = ops.tile(self.shades(background), (1, self.side**2))
        found = ops.cast(flat < 0.5, "float32") * shade[:, None]
        for level, patches in enumerate(decoded, 1):
            here = ops.cast(ops.abs(flat - float(level)) < 0.5, "float32")
            found = found + here * patches
        return whole(ops.clip(found, 0.0, 1.0), self.image_shape, self.side)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "image_shape": self.image_shape, "side": self.side}


def build_picture(sizes: MultiresSizes, coders: Sequence[LevelCoder]) -> keras.Model:
    """Bytes of each level (B, patches, bits / 8), levels (B, rows, columns) and background (B, C), all as
    numbers, to the picture (B, H, W, C).

    Args:
        coders: Of the levels from 1 on.
    """
    sent, decoded = [], []
    for level, coder in enumerate(coders, 1):
        sent.append(keras.Input((sizes.patches, coder.bits // 8), name=f"codes_{level}"))
        decoded.append(FromBytes(coder, name=f"from_bytes_{level}")(sent[-1]))
    levels = keras.Input(sizes.grid, name="levels")
    background = keras.Input((sizes.image_shape[2],), name="background")
    picture = Composed(sizes.image_shape, sizes.patch, name="composed")([*decoded, levels, background])
    return keras.Model([*sent, levels, background], picture, name=PICTURE)
