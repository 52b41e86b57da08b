"""The edge: received symbols back to tokens, a CLS token, blocks, label."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.codecs.tokens.blocks import EPSILON, TokenBlock
from semflash.codecs.tokens.sizes import TokensSizes

#: Names of the edge graph's inputs; one of ``symbols`` for each choice.
LEVELS, SNR = "levels", "snr"


def symbols_name(choice: int) -> str:
    """The tensor with the symbols of a choice, from 0 on."""
    return f"symbols_{choice + 1}"


class Receiver(layers.Layer):
    """Symbols of an image to logits.

    Args:
        sizes: Of the codec.
    """

    def __init__(self, sizes: TokensSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes

    def build(self, input_shape: Any) -> None:
        """Create decoder, places, CLS token, blocks and head."""
        sizes = self.sizes
        small = keras.initializers.RandomNormal(stddev=0.02)
        self.places = self.add_weight(shape=(sizes.tokens, sizes.width), initializer=small, name="places")
        self.token = self.add_weight(shape=(1, 1, sizes.width), initializer=small, name="token")
        self.widen = layers.Dense(sizes.decoder_width, activation="relu", name="widen")
        self.widen.build((None, sizes.tokens, 2 * sizes.feature_width + 1))
        self.narrow = layers.Dense(sizes.width, name="narrow")
        self.narrow.build((None, sizes.tokens, sizes.decoder_width))
        self.blocks = [
            TokenBlock(sizes.heads, sizes.hidden, name=f"block_{number}")
            for number in range(1, sizes.edge_blocks + 1)
        ]
        self.norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")
        self.logits = layers.Dense(sizes.classes, name="logits")
        for layer in (*self.blocks, self.norm):
            layer.build((None, sizes.tokens + 1, sizes.width))
        self.logits.build((None, sizes.width))

    def known(self, snr: Any) -> Any:
        """Decibels over the range of the training, -1 to 1."""
        low, high = self.sizes.snr_low, self.sizes.snr_high
        return (2.0 * ops.clip(snr, low, high) - (low + high)) / (high - low)

    def call(self, values: Any, use: Any, keep: Any, snr: Any) -> Any:
        """Logits (B, classes).

        Args:
            values: What arrived, float (B, n, values); 0 where nothing was sent.
            use: Float (B, n, values), 1 for the values that were sent; one row (B, 1, values) for all.
            keep: Float (B, n), 1 for the tokens that were sent.
            snr: In dB, float (B, 1).
        """
        told = ops.broadcast_to(self.known(snr)[:, None], ops.shape(values[..., :1]))
        used = ops.broadcast_to(use, ops.shape(values))
        x = self.narrow(self.widen(ops.concatenate([values, used, told], axis=-1))) + self.places
        token = ops.broadcast_to(self.token, (ops.shape(values)[0], 1, self.sizes.width))
        x = ops.concatenate([token, x], axis=1)
        seen = ops.concatenate([ops.ones_like(keep[:, :1]), keep], axis=1)
        for block in self.blocks:
            x = block(x, seen)
        return self.logits(self.norm(x[:, 0]))


def use_table(sizes: TokensSizes) -> np.ndarray:
    """Float32 (choices, values): 1 for the values that a choice of symbols sends."""
    each = np.asarray(sizes.values_each)[:, None]
    return (np.arange(sizes.feature_width)[None] < each).astype(np.float32)


class Gathered(layers.Layer):
    """The payload's tensors as the receiver takes them: values, which of them are used, which tokens are
    kept.

    Args:
        sizes: Of the codec.
    """

    def __init__(self, sizes: TokensSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes

    def call(self, symbols: list[Any], levels: Any) -> tuple[Any, Any, Any]:
        """Values (B, n, values), use of the same shape and kept tokens (B, n).

        Args:
            symbols: Of each choice, float (B, n, 2 c); rows of another choice are 0.
            levels: Float (B, rows, columns): one more than the choice of each token, 0 where it was dropped.
        """
        sizes = self.sizes
        most = sizes.feature_width
        wide = [ops.pad(each, ((0, 0), (0, 0), (0, most - each.shape[-1]))) for each in symbols]
        levels = ops.reshape(levels, (-1, sizes.tokens))
        chosen = ops.cast(
            ops.equal(levels[..., None], ops.arange(1, len(symbols) + 1, dtype="float32")), "float32"
        )
        use = ops.matmul(chosen, ops.convert_to_tensor(use_table(sizes)))
        return sum(wide), use, ops.cast(levels > 0.5, "float32")


def build_decoder(sizes: TokensSizes, receiver: Receiver) -> keras.Model:
    """[symbols of each choice (B, n, 2 c), levels (B, rows, columns), SNR (B, 1)] to logits (B, classes)."""
    symbols = [
        keras.Input((sizes.tokens, each), name=symbols_name(choice))
        for choice, each in enumerate(sizes.values_each)
    ]
    levels, snr = keras.Input(sizes.grid, name=LEVELS), keras.Input((1,), name=SNR)
    values, use, keep = Gathered(sizes, name="gathered")(symbols, levels)
    return keras.Model([*symbols, levels, snr], receiver(values, use, keep, snr), name="decoder")
