"""The channel-adaptive module: every channel scaled and shifted by the state (FiLM, arXiv 1709.07871)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.codecs.tosc.sizes import STATES

HIDDEN = 16


class ChannelAdaptive(keras.layers.Layer):
    """``x * (1 + g) + b`` with g and b (C,) from what is known of the channel:

        known (B, k) -> Dense 16 ReLU -+-> Dense C, g
                                       +-> Dense C, b

    Both begin as zero, so that the module begins as the identity.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create the three dense layers."""
        channels, known = int(input_shape[0][-1] or 0), int(input_shape[1][-1] or 0)
        self.hidden = keras.layers.Dense(HIDDEN, activation="relu", name="hidden")
        self.scale = keras.layers.Dense(channels, kernel_initializer="zeros", name="scale")
        self.shift = keras.layers.Dense(channels, kernel_initializer="zeros", name="shift")
        self.hidden.build((None, known))
        self.scale.build((None, HIDDEN))
        self.shift.build((None, HIDDEN))

    def modulation(self, known: Any) -> tuple[Any, Any]:
        """g and b, each float (B, C), of what is known, float (B, k)."""
        hidden = self.hidden(known)
        return self.scale(hidden), self.shift(hidden)

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: [x float (B, ..., C), known float (B, k)]; float (B, ..., C)."""
        x, known = inputs
        shape = (-1, *(1 for _ in x.shape[1:-1]), x.shape[-1])
        scale, shift = (ops.reshape(each, shape) for each in self.modulation(known))
        return x * (1.0 + scale) + shift

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Shape of the first input."""
        return input_shape[0]


def seen_state(state: Any) -> Any:
    """The state 0 to 7 as networks see it, -1 to 1."""
    return 2.0 * state / (STATES - 1) - 1.0


def folded(
    scale: np.ndarray, shift: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One linear map for each state that equals the modulation and then a 1x1 convolution.

        sum_c kernel[c, j] (x_c (1 + g_c) + b_c) + bias_j
            = sum_c (kernel[c, j] (1 + g_c)) x_c + (bias_j + sum_c kernel[c, j] b_c)

    Args:
        scale: g, float (S, C). shift: b, float (S, C).
        kernel: float (C, J). bias: float (J,).

    Returns:
        weights float32 (S, J, C) and bias float32 (S, J).
    """
    wide = kernel.astype(np.float64)
    weights = wide.T[None] * (1.0 + scale.astype(np.float64))[:, None, :]
    biases = bias.astype(np.float64) + shift.astype(np.float64) @ wide
    return weights.astype(np.float32), biases.astype(np.float32)
