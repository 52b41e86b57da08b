"""The information bottleneck in its variational form (VIB, arXiv 1612.00410), with the channel's own noise.

What is sent is mu, what arrives is distributed as N(mu, s) with the channel's noise power s, so no noise is
drawn for the bottleneck. The divergence from a learned prior N(0, v) is in closed form, in nats for each
value:

    KL(N(mu, s) || N(0, v)) = ((mu^2 + s) / v + log v - log s - 1) / 2
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


def divergence(mean: Any, power: Any, prior: Any) -> Any:
    """KL(N(mean, power) || N(0, prior)) in nats, elementwise; variances are above 0."""
    return 0.5 * ((ops.square(mean) + power) / prior + ops.log(prior) - ops.log(power) - 1.0)


class Bottleneck(keras.layers.Layer):
    """The prior's variance v of each sent value, and the divergence from it.

    Args:
        start: v at the beginning, the power of a value that is sent.
    """

    def __init__(self, start: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the logarithms of v, one for each value."""
        self.log_prior = self.add_weight(
            shape=tuple(int(side or 0) for side in input_shape[1:]),
            initializer=keras.initializers.Constant(float(np.log(self.start))),
            name="log_prior",
        )

    def call(self, mean: Any, power: Any) -> Any:
        """Divergence of each value in nats, float (B, h, w, C).

        Args:
            mean: What is sent, float (B, h, w, C).
            power: Of the channel's noise, float, broadcast to it.
        """
        return divergence(mean, power, ops.exp(self.log_prior))

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "start": self.start}
