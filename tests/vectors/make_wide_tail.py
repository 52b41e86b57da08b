"""A task tail with as many kinds of operators as fit, for the tiny bundle: tests/vectors/wide_tail.tflite.

    PYTHONPATH=host:codegen python tests/vectors/make_wide_tail.py

Needs semflash[train]. Features (B, 16) in, ten logits out; what it computes means nothing.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers, ops

from semflash.conversion.graphs import convert_float

HERE = Path(__file__).parent


def _maps(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Convolutions, pools, margins, enlargements of a map (B, 4, 4, 6)."""
    return [
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same")(layers.MaxPooling2D(2)(x)),
        layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x),
        layers.AveragePooling2D(2, strides=1, padding="same")(layers.PReLU()(x)),
        layers.UpSampling2D(2, interpolation="bilinear")(x)[:, ::2, 1::2],
        layers.UpSampling2D(2)(x)[:, 2:6, -5:-1, ::-1],
        layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)),
        ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")[:, 1:-1, 1:-1],
        layers.Resizing(4, 4, interpolation="nearest")(x),
        ops.take(x, [3, 0, 1, 1], axis=1),
        ops.concatenate(ops.split(x, 3, axis=-1)[::-1], axis=-1),
        ops.concatenate(ops.split(x, [1, 4], axis=-1), axis=-1),
        ops.where(x > 0.1, ops.square(x), ops.maximum(x, -0.5)),
        ops.where(ops.logical_and(x > -0.2, x <= 0.3), ops.abs(x), ops.minimum(x, 0.2)),
    ]


def _activations(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    names = ("relu6", "sigmoid", "tanh", "elu", "gelu", "silu", "hard_silu", "leaky_relu", "softplus")
    found = [layers.Activation(name)(x) for name in (*names, "log_softmax", "softmax", "hard_tanh")]
    positive = ops.exp(ops.clip(x, -1.0, 1.0))
    found += [ops.sqrt(positive), ops.rsqrt(positive), ops.log(positive), positive**1.5, x / positive]
    return [*found, ops.sin(x), ops.cos(x), ops.floor(x), ops.sign(x), ops.round(x), -x, ops.ceil(x)]


def _sequences(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Attention and norms over (B, 16, 6)."""
    return [
        layers.MultiHeadAttention(2, 3)(x, x),
        layers.LayerNormalization()(x),
        layers.GroupNormalization(2)(x),
        ops.matmul(ops.matmul(x, ops.transpose(x, (0, 2, 1))), x),
        layers.Conv1D(6, 3, padding="causal")(x),
        ops.cumsum(x, axis=1),
        ops.tile(ops.max(x, axis=1, keepdims=True), (1, 16, 1)),
        ops.stack([x, ops.flip(x, axis=1)], axis=1)[:, 1],
        ops.concatenate([ops.expand_dims(one, 1) for one in ops.unstack(x, 16, axis=1)], axis=1),
        x * 0.1 + ops.sum(x, axis=(1, 2), keepdims=True),
        ops.tile(ops.top_k(x, 2)[0], (1, 1, 3)),
    ]


def wide_tail() -> keras.Model:
    """The network."""
    keras.utils.set_random_seed(3)
    features = keras.Input((16,))
    x = layers.Conv2D(6, 1, activation="relu")(layers.Reshape((4, 4, 1))(features))
    maps = layers.Conv2D(6, 1)(layers.Concatenate()([*_maps(x), *_activations(x)]))
    sequence = layers.Add()(_sequences(layers.Reshape((16, 6))(maps)))
    pooled = layers.Concatenate()([ops.mean(sequence, 1), ops.min(sequence, 1), layers.Flatten()(maps)])
    return keras.Model(features, layers.Dense(10)(pooled))


if __name__ == "__main__":
    (HERE / "wide_tail.tflite").write_bytes(convert_float(wide_tail(), "wide tail"))
