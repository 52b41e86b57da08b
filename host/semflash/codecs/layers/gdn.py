"""Generalised divisive normalisation (Balle, Laparra, Simoncelli 2016, arXiv 1511.06281) and its inverse."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

BETA_FLOOR = 1e-3


class GDN(keras.layers.Layer):
    """y_j = x_j / sqrt(beta_j + sum_i gamma_ij x_i^2); the inverse multiplies by the root instead.

    beta = beta_root^2 + 1e-3 and gamma = gamma_root^2, so that beta > 0 and gamma >= 0 hold while training.
    The floor under beta keeps the integer form on the device from drifting where the latent is near 0.

    Input and output: float (B, ..., channels).
    """

    def __init__(self, *, inverse: bool = False, gamma_init: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inverse = inverse
        self.gamma_init = gamma_init

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create beta_root (C,) and gamma_root (C, C)."""
        channels = int(input_shape[-1] or 0)
        root = np.sqrt(self.gamma_init * np.eye(channels) + 0.01 * self.gamma_init).astype(np.float32)
        self.beta_root = self.add_weight(shape=(channels,), initializer="ones", name="beta_root")
        self.gamma_root = self.add_weight(
            shape=(channels, channels),
            initializer=lambda *_, **__: ops.convert_to_tensor(root),
            name="gamma_root",
        )

    @property
    def beta(self) -> Any:
        """Float (C,), >= 1e-3."""
        return ops.square(self.beta_root) + BETA_FLOOR

    @property
    def gamma(self) -> Any:
        """Float (C, C), >= 0; ``gamma[i, j]`` weighs input channel i in output channel j."""
        return ops.square(self.gamma_root)

    def call(self, x: Any) -> Any:
        """Same shape as ``x``."""
        channels = x.shape[-1]
        kernel = ops.reshape(self.gamma, (1, 1, channels, channels))
        den = ops.conv(x * x, kernel, padding="valid") + self.beta
        return x * ops.sqrt(den) if self.inverse else x * ops.rsqrt(den)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "inverse": self.inverse, "gamma_init": self.gamma_init}


class PositivePReLU(keras.layers.Layer):
    """max(x, 0) + alpha min(x, 0) with one alpha per channel, clipped to [0.05, 1].

    A positive alpha keeps the function strictly rising, which is what lets the device pull the codec's
    thresholds back through it; the lower end bounds the size of those thresholds.
    """

    ALPHA_MIN = 0.05
    ALPHA_MAX = 1.0

    def __init__(self, *, alpha_init: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha_init = alpha_init

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create alpha (C,)."""
        self.raw_alpha = self.add_weight(
            shape=(int(input_shape[-1] or 0),),
            initializer=keras.initializers.Constant(self.alpha_init),
            name="alpha",
        )

    @property
    def alpha(self) -> Any:
        """Float (C,), 0.05..1."""
        return ops.clip(self.raw_alpha, self.ALPHA_MIN, self.ALPHA_MAX)

    def call(self, x: Any) -> Any:
        """Same shape as ``x``."""
        return ops.maximum(x, 0.0) + self.alpha * ops.minimum(x, 0.0)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "alpha_init": self.alpha_init}
