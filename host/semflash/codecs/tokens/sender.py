"""What the device does behind its stem: budget token, gates, blocks, and compression to symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.tokens.blocks import Gate, TokenBlock
from semflash.codecs.tokens.sizes import TokensSizes
from semflash.program.tokens.stages import LARGEST, SHARE_MAX, VALUE_STEP

#: Power of a real value: a complex symbol has I^2 + Q^2 = 1 on average.
VALUE_POWER = 0.5


@dataclass(frozen=True)
class Selected:
    """What is left of an image.

    Attributes:
        tokens: Float (B, n, width), behind the last block.
        keep: Float (B, n), 0 and 1 with gradients.
        shares: Of all tokens, the share that is left behind each gate, float (B,) each.
    """

    tokens: Any
    keep: Any
    shares: tuple[Any, ...]


class Sender(layers.Layer):
    """Features of the stem to symbols.

    Args:
        sizes: Of the codec.
    """

    def __init__(self, sizes: TokensSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create places, budget, gates, blocks and encoder."""
        sizes = self.sizes
        small, wide = (keras.initializers.RandomNormal(stddev=s) for s in (0.02, 0.5))
        self.places = self.add_weight(shape=(sizes.tokens, sizes.width), initializer=small, name="places")
        self.all = self.add_weight(shape=(sizes.width,), initializer=wide, name="budget_all")
        self.none = self.add_weight(shape=(sizes.width,), initializer=wide, name="budget_none")
        blocks = range(1, sizes.device_blocks + 1)
        self.gates = [Gate(sizes.slack, name=f"gate_{number}") for number in blocks]
        self.blocks = [TokenBlock(sizes.heads, sizes.hidden, name=f"block_{number}") for number in blocks]
        self.encoder = layers.Dense(sizes.feature_width, name="encoder")
        for layer in (*self.gates, *self.blocks, self.encoder):
            layer.build((None, sizes.tokens, sizes.width))

    def select(self, features: Any, share: Any, keep: Any = None) -> Selected:
        """Tokens that are left.

        Args:
            features: Of the stem, float (B, h, w, width).
            share: alpha in 1/255, whole numbers as float (B, 1).
            keep: Float (B, n), a mask to use in place of the gates'; None: theirs.
        """
        sizes, share = self.sizes, ops.convert_to_tensor(share)
        x = ops.reshape(features, (-1, sizes.tokens, sizes.width)) + self.places
        alpha = share / SHARE_MAX
        budget = (alpha * self.all + (1.0 - alpha) * self.none)[:, None, :]
        x = ops.concatenate([x, budget], axis=1)
        left = ops.ones_like(x[:, :-1, 0])
        shares = []
        for gate, block in zip(self.gates, self.blocks, strict=True):
            left = gate(x[:, :-1], x[:, -1], share, left) if keep is None else keep
            shares.append(ops.mean(left, axis=1))
            x = block(x, ops.pad(left, ((0, 0), (0, 1)), constant_values=1.0))
        return Selected(x[:, :-1], left, tuple(shares))

    def symbols(self, tokens: Any, use: Any) -> Any:
        """Real values of power 1/2 in steps of what is sent, float (B, n, values); 0 where not used.

        Args:
            tokens: Float (B, n, width).
            use: Float (B, 1, values), 1 for the values that the choice of symbols sends.
        """
        values = self.encoder(tokens) * use
        count = ops.sum(use, axis=-1, keepdims=True)
        power = ops.sum(ops.square(values), axis=-1, keepdims=True) / (VALUE_POWER * count)
        values = values * ops.rsqrt(power + 1e-9)
        steps = ops.clip(ops.round(values / VALUE_STEP), -LARGEST, LARGEST)
        return values + ops.stop_gradient(steps * VALUE_STEP - values)

    def call(self, features: Any, share: Any, use: Any) -> tuple[Any, Any]:
        """Symbols float (B, n, values) and which tokens are sent, float (B, n)."""
        selected = self.select(features, share)
        return self.symbols(selected.tokens, use), selected.keep
