"""A small vision transformer, split behind its convolutions into head (device) and tail (edge).

    image (H, W, C) in [0, 1], H and W multiples of 8
      | head:  Conv 3x3 stride 2, w0                    32 x 32 for 64 x 64 images
      |        Conv 3x3 stride 2, w1                    16 x 16
      |        residual block w1                        16 x 16
      |        Conv 3x3 stride 2, w2                    8 x 8
    features (H/8, W/8, w2), one per patch of 8 x 8 pixels
      | tail:  + learned places
      |        two blocks: self-attention of the patches, perceptron; each pre-normed, beside an identity
      |        class block: a CLS token attends to itself and all patches; perceptron
      |        normed CLS token, dense
    logits (classes)

The CLS token takes part in the last block alone, as in CaiT (Touvron et al. 2021, arXiv 2103.17239): its
attention there is all that it sees of the image, so that row CLS of the last block says which patches decide
(:func:`attention_of`). In training, patches are hidden from it at random (DropKey, arXiv 2208.02646), so
that it looks at all of an object rather than at its most telling patch.

Convolutions are followed by BatchNorm and ReLU. Sources of the blocks: Dosovitskiy et al. 2020 (arXiv
2010.11929), convolutions before them: Xiao et al. 2021 (arXiv 2106.14881).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.errors import TrainingError
from semflash.tasks.residual import convolution, residual_block
from semflash.tasks.start import begin_with

STRIDE = 8
WIDTHS = (24, 32, 64)
HEADS, BLOCKS = 4, 2
#: Width of a block's perceptron, in widths of a token.
EXPANSION = 2
#: Share of the patches that are hidden from the CLS token in training.
HIDDEN_SHARE = 0.25
EPSILON = 1e-5
#: Share of a block's attention beside the identity, where attention is followed back.
ROLLED = 0.5
CLASS_BLOCK, PLACES = "class_block", "places"


def build_transformer(
    image_shape: tuple[int, int, int], classes: int, widths: tuple[int, ...] = WIDTHS
) -> tuple[keras.Model, keras.Model]:
    """Head and tail. TrainingError: they cannot be built for this image or these widths."""
    head = build_transformer_head(image_shape, widths)
    return head, build_transformer_tail(head.output_shape[1:], classes)


def begin_transformer(head: keras.Model, tail: keras.Model, start: str) -> None:
    """Put a run's weights into both parts, as :func:`semflash.tasks.start.begin_with` does; the places of a
    grid of another size are interpolated.

    Raises:
        TrainingError: The file is missing or damaged, or its network is another one.
    """
    begin_with(head, tail, start, fit=_fitting)


def _fitting(value: np.ndarray, variable: Any) -> np.ndarray:
    """Places (n, c) of one square grid at those of another; anything else as it is."""
    if variable.name != PLACES or value.ndim != 2 or value.shape == tuple(variable.shape):
        return value
    small, large = math.isqrt(len(value)), math.isqrt(int(variable.shape[0]))
    if small**2 != len(value) or large**2 != variable.shape[0]:
        return value
    grid = value.reshape(1, small, small, -1)
    return np.asarray(ops.image.resize(grid, (large, large), antialias=False)).reshape(large**2, -1)


def build_transformer_head(
    image_shape: tuple[int, int, int], widths: tuple[int, ...] = WIDTHS
) -> keras.Model:
    """Head: float32 images (B, H, W, C) in [0, 1] to features (B, H/8, W/8, widths[2]), >= 0.

    Raises:
        TrainingError: The image's sides are no multiples of 8, or there are not three widths.
    """
    if any(side % STRIDE for side in image_shape[:2]) or len(widths) != 3:
        raise TrainingError(
            f"the network vit takes sides that are multiples of {STRIDE}, and three widths",
            value=f"image {image_shape}, widths {widths}",
            remedy="image_size=64 and widths=[24,32,64], say",
        )
    image = keras.Input(image_shape, name="image")
    x = convolution(image, widths[0], stride=2)
    x = convolution(x, widths[1], stride=2)
    x = residual_block(x, widths[1])
    x = convolution(x, widths[2], stride=2)
    return keras.Model(image, x, name="head")


def build_transformer_tail(feature_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Tail: features (B, h, w, c) to logits (B, classes); c is a multiple of 4."""
    features = keras.Input(feature_shape, name="features")
    x = Patches(name="patches")(features)
    for index in range(BLOCKS):
        x = Block(HEADS, name=f"block_{index + 1}")(x)
    x = ClassBlock(HEADS, name=CLASS_BLOCK)(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(features, logits, name="tail")


def attention_of(tail: keras.Model, *, rollout: bool = False) -> keras.Model:
    """Row CLS of the last block's attention without CLS's own column, mean over the heads: features
    (B, h, w, c) to float (B, h, w), shares that sum to at most 1.

    Args:
        rollout: Follow the attention back through the blocks before it, each beside an identity of the same
            weight (Abnar and Zuidema 2020, arXiv 2005.00928): where what CLS looks at came from.

    Raises:
        TrainingError: The tail is no transformer of this module.
    """
    try:
        last = tail.get_layer(CLASS_BLOCK)
    except ValueError:
        raise TrainingError(
            "the task network has no CLS token whose attention could be taken",
            value=tail.name,
            remedy="train it with network=vit",
        ) from None
    height, width = tail.input_shape[1:3]
    blocks = [layer for layer in tail.layers if isinstance(layer, Block)]
    tokens = blocks[0].input if rollout and blocks else last.input
    weights = Attended(last, blocks if rollout else [], (height, width), name="attended")(tokens)
    return keras.Model(tail.input, weights, name="attention")


class Patches(layers.Layer):
    """Features (B, h, w, c) in raster order with a learned place added: (B, h w, c)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the places."""
        _, height, width, channels = input_shape
        self.places = self.add_weight(
            shape=(int(height or 0) * int(width or 0), int(channels or 0)),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name=PLACES,
        )

    def call(self, features: Any) -> Any:
        """Tokens of the patches."""
        return ops.reshape(features, (-1, *self.places.shape)) + self.places


class Attention(layers.Layer):
    """Attention of several heads: queries (B, n, c) to keys (B, m, c)."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create the projections."""
        channels = int(input_shape[0][-1] or 0)
        self.each = channels // self.heads
        self.query = layers.Dense(channels, name="query")
        self.key_value = layers.Dense(2 * channels, name="key_value")
        self.out = layers.Dense(channels, name="out")
        for layer in (self.query, self.key_value, self.out):
            layer.build((None, None, channels))

    def weights_of(self, queries: Any, keys: Any, hidden: Any = None) -> tuple[Any, Any]:
        """Shares (B, heads, n, m) that each query gives to each key, and values (B, heads, m, each).

        Args:
            hidden: 1 where a key is not seen, broadcast to the shares; None: all are.
        """
        query = self._split(self.query(queries), 1)[0]
        key, value = self._split(self.key_value(keys), 2)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * self.each**-0.5
        if hidden is not None:
            scores = scores - 1e4 * hidden
        return ops.softmax(scores, axis=-1), value

    def call(self, queries: Any, keys: Any, hidden: Any = None) -> Any:
        """What the queries get, (B, n, c)."""
        shares, value = self.weights_of(queries, keys, hidden)
        mixed = ops.transpose(ops.matmul(shares, value), (0, 2, 1, 3))
        return self.out(ops.reshape(mixed, (-1, queries.shape[1], self.heads * self.each)))

    def _split(self, x: Any, parts: int) -> Any:
        """(B, n, parts c) to parts of (B, heads, n, each)."""
        x = ops.reshape(x, (-1, x.shape[1], parts, self.heads, self.each))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), parts, axis=0)


class _Block(layers.Layer):
    """What both kinds of blocks share: norms, attention, perceptron."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the layers."""
        channels = int(input_shape[-1] or 0)
        self.before = layers.LayerNormalization(epsilon=EPSILON, name="before")
        self.between = layers.LayerNormalization(epsilon=EPSILON, name="between")
        self.attention = Attention(self.heads, name="attention")
        self.wide = layers.Dense(EXPANSION * channels, activation="gelu", name="wide")
        self.narrow = layers.Dense(channels, name="narrow")
        self.attention.build([(None, None, channels)] * 2)
        for layer in (self.before, self.between, self.wide):
            layer.build((None, None, channels))
        self.narrow.build((None, None, EXPANSION * channels))

    def perceptron(self, x: Any) -> Any:
        """Two dense layers beside an identity."""
        return x + self.narrow(self.wide(self.between(x)))

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "heads": self.heads}


class Block(_Block):
    """Self-attention and perceptron, each pre-normed and beside an identity: (B, n, c) to the same."""

    def call(self, x: Any) -> Any:
        """The tokens after the block."""
        normed = self.before(x)
        return self.perceptron(x + self.attention(normed, normed))

    def shares(self, x: Any) -> Any:
        """What each token takes from each, mean over the heads: (B, n, n)."""
        normed = self.before(x)
        return ops.mean(self.attention.weights_of(normed, normed)[0], axis=1)


class ClassBlock(_Block):
    """A CLS token that attends to itself and to the patches: (B, n, c) to the token, (B, c).

    Args:
        hidden_share: Share of the patches that it does not see in training, drawn anew for each image.
    """

    def __init__(self, heads: int, hidden_share: float = HIDDEN_SHARE, **kwargs: Any) -> None:
        super().__init__(heads, **kwargs)
        self.hidden_share = hidden_share
        self.draws = keras.random.SeedGenerator(0)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the token and the layers."""
        super().build(input_shape)
        self.token = self.add_weight(
            shape=(1, 1, int(input_shape[-1] or 0)),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="token",
        )

    def _with_token(self, x: Any) -> tuple[Any, Any]:
        """The token of each image (B, 1, c), and it before the patches, normed (B, n + 1, c)."""
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return token, self.before(ops.concatenate([token, x], axis=1))

    def call(self, x: Any, training: bool = False) -> Any:
        """The token after the block."""
        token, keys = self._with_token(x)
        hidden = self._hidden(x) if training and self.hidden_share else None
        seen = token + self.attention(keys[:, :1], keys, hidden)
        return self.perceptron(seen)[:, 0]

    def _hidden(self, x: Any) -> Any:
        drawn = keras.random.uniform((ops.shape(x)[0], 1, 1, x.shape[1]), seed=self.draws)
        patches = ops.cast(drawn < self.hidden_share, "float32")
        return ops.pad(patches, ((0, 0), (0, 0), (0, 0), (1, 0)))

    def row(self, x: Any) -> Any:
        """Row CLS without its own column, mean over the heads: (B, n)."""
        _, keys = self._with_token(x)
        shares, _ = self.attention.weights_of(keys[:, :1], keys)
        return ops.mean(shares[:, :, 0, 1:], axis=1)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "hidden_share": self.hidden_share}


class Attended(layers.Layer):
    """Row CLS of a class block as a map (B, h, w), followed back through the blocks before it."""

    def __init__(
        self, last: ClassBlock, before: Sequence[Block], grid: tuple[int, int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.last, self.before, self.grid = last, list(before), grid

    def call(self, x: Any) -> Any:
        """Shares of the patches, of the tokens that the first of the blocks gets."""
        mixed = []
        for block in self.before:
            mixed.append(ROLLED * block.shares(x) + (1 - ROLLED) * ops.eye(x.shape[1]))
            x = block(x)
        row = self.last.row(x)[:, None]
        for each in reversed(mixed):
            row = ops.matmul(row, each)
        return ops.reshape(row, (-1, *self.grid))
