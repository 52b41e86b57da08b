"""From what arrived to the picture: centres of all levels, inverse transform, and the restoring network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.lamsc.networks import STEP
from semflash.codecs.lamsc.sizes import BLOCK, LamscSizes
from semflash.codecs.layers.packed import PackedCentres
from semflash.codecs.multires.picture import PICTURE, whole
from semflash.program.reference.patches import SHADE_FIRST, SHADE_STEP

_GREY, _PIXEL_MAX = 128, 255.0


def shades(background: Any) -> Any:
    """Values in [0, 1] of codes of the mean colour, as numbers."""
    return (background * float(SHADE_STEP) + float(SHADE_FIRST + _GREY)) / _PIXEL_MAX


class Inverse(layers.Layer):
    """Coefficients (B, blocks, K) and background (B, C) to the picture (B, H, W, C).

    Args:
        vectors: float (n, K), orthonormal columns.
        image_shape: (H, W, C).
    """

    def __init__(self, vectors: np.ndarray, image_shape: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._back = np.asarray(vectors, np.float32).T.copy()
        self._image_shape = image_shape

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: coefficients, background."""
        coefficients, background = inputs
        shade = ops.tile(shades(background), (1, BLOCK**2))
        blocks = ops.matmul(coefficients, self._back) + shade[:, None]
        return whole(blocks, self._image_shape, BLOCK)


class OfLevel(layers.Layer):
    """Centres (B, blocks, K) where the map (B, rows, columns) has this level, 0 elsewhere.

    Args:
        level: From 1 on.
    """

    def __init__(self, level: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.level = level

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: centres, levels."""
        centres, levels = inputs
        flat = ops.reshape(levels, (-1, centres.shape[1], 1))
        return centres * ops.cast(ops.abs(flat - float(self.level)) < 0.5, "float32")

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "level": self.level}


class Restored(layers.Layer):
    """The picture, and what the network adds, in [0, 1]."""

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: the picture of the inverse transform, the network's output."""
        base, more = inputs
        return ops.clip(base + STEP * more, 0.0, 1.0)


class Clipped(layers.Layer):
    """A picture in [0, 1]."""

    def call(self, base: Any) -> Any:
        """(B, H, W, C)."""
        return ops.clip(base, 0.0, 1.0)


class Scaled(layers.Layer):
    """Coefficients (B, blocks, K) as a map of deviation 1, (B, rows, columns, K).

    Args:
        deviation: float (K,).
        grid: (rows, columns).
    """

    def __init__(self, deviation: np.ndarray, grid: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._scale = (1.0 / np.maximum(deviation, 1e-6)).astype(np.float32)
        self._grid = grid

    def call(self, coefficients: Any) -> Any:
        """A map."""
        return ops.reshape(coefficients * self._scale, (-1, *self._grid, len(self._scale)))


def build_picture(sizes: LamscSizes, levels_layer: Any, restorer: keras.Model | None) -> keras.Model:
    """Bytes of each level (B, blocks, bits / 8), levels (B, rows, columns), background (B, C) and BER (B, 1),
    where a network is told of it, all as numbers, to the picture (B, H, W, C) in [0, 1].

    Args:
        levels_layer: :class:`semflash.codecs.lamsc.levels.LevelTables` with its weights, which are taken now.
        restorer: None: the inverse transform alone.
    """
    given, centres = levels_layer.arrays()
    levels = keras.Input(sizes.grid, name="levels")
    background = keras.Input((sizes.image_shape[2],), name="background")
    sent, parts = [], []
    for level, bits in enumerate(sizes.level_bits[1:], 1):
        sent.append(keras.Input((sizes.patches, bits // 8), name=f"codes_{level}"))
        unpacked = PackedCentres(given[level - 1], centres[level - 1], name=f"centres_{level}")(sent[-1])
        parts.append(OfLevel(level, name=f"of_level_{level}")([unpacked, levels]))
    coefficients = parts[0] if len(parts) == 1 else layers.Add(name="coefficients")(parts)
    told = [] if restorer is None else [keras.Input((1,), name="ber")]
    ber = told[0] if told else None
    picture = picture_of(sizes, levels_layer, restorer, coefficients, levels, background, ber)
    return keras.Model([*sent, levels, background, *told], picture, name=PICTURE)


def picture_of(
    sizes: LamscSizes,
    levels_layer: Any,
    restorer: keras.Model | None,
    coefficients: Any,
    levels: Any,
    background: Any,
    ber: Any,
) -> Any:
    """The picture of what arrived, as a Keras tensor or array; see :func:`build_picture`."""
    inverse = Inverse(levels_layer.matrix(), sizes.image_shape, name="inverse")
    base = inverse([coefficients, background])
    if restorer is None:
        return Clipped(name="restored")(base)
    scaled = Scaled(levels_layer.spread(), sizes.grid, name="scaled")(coefficients)
    more = restorer([scaled, levels, ber, base])
    return Restored(name="restored")([base, more])
