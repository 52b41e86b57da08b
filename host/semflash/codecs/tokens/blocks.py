"""Layers of the transformer: a block whose keys may be dropped, and the gate that drops them.

A dropped token is out of the softmax, in training as on the device: its key gets the weight 0.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from semflash.program.tokens.stages import SHARE_MAX

EPSILON = 1e-5
#: Slope of the sigmoid that stands in for the hard mask where gradients pass.
SLOPE = 8.0
_FAR = 1e4


class TokenBlock(layers.Layer):
    """Self-attention and a ReLU perceptron, each pre-normed and beside an identity.

    Args:
        heads: Of the attention.
        hidden: Width of the perceptron.
    """

    def __init__(self, heads: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.hidden = heads, hidden

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the layers."""
        width = int(input_shape[-1] or 0)
        self.width, self.each = width, width // self.heads
        self.before = layers.LayerNormalization(epsilon=EPSILON, name="before")
        self.between = layers.LayerNormalization(epsilon=EPSILON, name="between")
        self.qkv = layers.Dense(3 * width, name="qkv")
        small = keras.initializers.VarianceScaling(0.1, "fan_in")
        self.out = layers.Dense(width, kernel_initializer=small, name="out")
        self.wide = layers.Dense(self.hidden, activation="relu", kernel_initializer="he_normal", name="wide")
        self.narrow = layers.Dense(width, kernel_initializer=small, name="narrow")
        for layer in (self.before, self.between, self.qkv, self.out, self.wide):
            layer.build((None, None, width))
        self.narrow.build((None, None, self.hidden))

    def call(self, x: Any, keep: Any) -> Any:
        """The tokens after the block, float (B, n, width).

        Args:
            x: Tokens, float (B, n, width).
            keep: Float (B, n), 1 where a token is seen, 0 where it is not; gradients pass into it.
        """
        x = x + self.out(self._attend(self.qkv(self.before(x)), keep))
        return x + self.narrow(self.wide(self.between(x)))

    def _attend(self, qkv: Any, keep: Any) -> Any:
        count = qkv.shape[1]
        parts = ops.transpose(ops.reshape(qkv, (-1, count, 3, self.heads, self.each)), (2, 0, 3, 1, 4))
        query, key, value = parts[0], parts[1], parts[2]
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * self.each**-0.5
        seen = keep[:, None, None, :]
        most = ops.max(scores - _FAR * (1.0 - seen), axis=-1, keepdims=True)
        shares = ops.exp(ops.minimum(scores - ops.stop_gradient(most), 0.0)) * seen
        shares = shares / (ops.sum(shares, axis=-1, keepdims=True) + 1e-9)
        mixed = ops.transpose(ops.matmul(shares, value), (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, count, self.width))

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "heads": self.heads, "hidden": self.hidden}


class Gate(layers.Layer):
    """Which tokens stay: those whose gate is above a threshold that the budget token sets.

    At least one token stays, that of the best gate, and at most so many as alpha and the slack allow,
    those of the best gates; of equal ones the first.

    Args:
        slack: Tokens beyond alpha of all.
    """

    def __init__(self, slack: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slack = slack

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the two linear maps."""
        width = int(input_shape[-1] or 0)
        start = keras.initializers.RandomNormal(stddev=0.1)
        self.gate = layers.Dense(1, kernel_initializer=start, bias_initializer="ones", name="gate")
        self.threshold = layers.Dense(1, kernel_initializer=start, name="threshold")
        for layer in (self.gate, self.threshold):
            layer.build((None, None, width))

    def call(self, x: Any, budget: Any, share: Any, before: Any) -> Any:
        """What is left, float (B, n): 0 and 1, with the gradient of a sigmoid.

        Args:
            x: Tokens, float (B, n, width).
            budget: The budget token, float (B, width).
            share: alpha in 1/255, whole numbers as float (B, 1).
            before: What was left before, float (B, n).
        """
        gates = self.gate(x)[..., 0]
        threshold = self.threshold(budget)
        margin = ops.sigmoid(gates) - ops.sigmoid(threshold)
        soft = ops.sigmoid(SLOPE * margin)
        hard = ops.stop_gradient(self._hard(gates, threshold, share, before))
        return before * (hard + soft - ops.stop_gradient(soft))

    def _hard(self, gates: Any, threshold: Any, share: Any, before: Any) -> Any:
        count = gates.shape[1]
        alive = before > 0.5
        mine, theirs = gates[:, :, None], gates[:, None, :]
        earlier = ops.expand_dims(ops.arange(count)[None, :] < ops.arange(count)[:, None], 0)
        better = ops.logical_or(theirs > mine, ops.logical_and(ops.equal(theirs, mine), earlier))
        better = ops.logical_and(better, alive[:, None, :])
        rank = ops.sum(ops.cast(better, "float32"), axis=-1)
        most = ops.floor((count * share + (SHARE_MAX - 1)) / SHARE_MAX) + self.slack
        above = ops.logical_and(gates > threshold, rank < most)
        kept = ops.logical_and(alive, ops.logical_or(above, rank < 0.5))
        return ops.cast(kept, "float32")

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "slack": self.slack}
