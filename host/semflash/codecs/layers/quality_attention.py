"""Channel attention that knows the channel quality.

Sources: SemanticNN (arXiv 2511.11038), decoder; ADJSCC (arXiv 2012.00533).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BER_FLOOR = 1e-4
BER_MAX = 0.5


def log_ber(ber: Any) -> Any:
    """BER (B, 1) as the networks see it: its logarithm over a floor of 1e-4, scaled to about [-1.4, 0.8]."""
    return (ops.log(ber + BER_FLOOR) + 5.0) / 3.0


class QualityAttention(keras.layers.Layer):
    """Scale channels by a gate in (0, 2) computed from their means and the BER.

        x (B, h, w, C) -> mean (B, C) -+-> concat -> Dense C/2 ReLU -> Dense C sigmoid, times 2 -> scale x
        ber (B, 1) -----> log ---------+

    Deviation from the paper: the gate spans (0, 2) rather than (0, 1), so that it starts as an identity.

    Args:
        blind: see a BER of 0.5 whatever it is, to find out what knowing the BER is worth.
    """

    def __init__(self, *, blind: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blind = blind

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create both dense layers."""
        channels = int(input_shape[0][-1] or 0)
        self.squeeze = keras.layers.Dense(max(4, channels // 2), activation="relu", name="squeeze")
        self.excite = keras.layers.Dense(channels, activation="sigmoid", name="excite")
        self.squeeze.build((None, channels + 1))
        self.excite.build((None, self.squeeze.units))

    def call(self, inputs: list[Any]) -> Any:
        """``inputs``: [x float (B, h, w, C), ber float (B, 1)]; float (B, h, w, C)."""
        x, ber = inputs
        if self.blind:
            ber = ops.maximum(ber, BER_MAX)
        summary = ops.concatenate([ops.mean(x, axis=(1, 2)), log_ber(ber)], axis=-1)
        gate = 2.0 * self.excite(self.squeeze(summary))
        return x * ops.reshape(gate, (-1, 1, 1, x.shape[-1]))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Shape of the first input."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "blind": self.blind}
