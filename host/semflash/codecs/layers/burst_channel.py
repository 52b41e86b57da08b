"""Bursts of bit errors and lost frames as training sees them.

As with :class:`semflash.codecs.layers.channel.BinarySymmetricChannel`, bursts work on integer codes and have
no gradient; the quantiser lets gradients pass around them. The numpy twins: :mod:`semflash.channels.bursts`,
:mod:`semflash.channels.frames`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class GilbertElliottChannel(keras.layers.Layer):
    """Flips bits of codes in bursts: none in the good state, half of them in the bad one (Gilbert, Elliott).

    Args:
        bits: Bits per code.
        burst_bits: The mean length of a burst, in bits.
    """

    def __init__(self, bits: int, *, burst_bits: float = 16.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits = bits
        self.burst_bits = burst_bits

    def call(self, codes: Any, ber: Any, noise: Any) -> Any:
        """Damaged codes int32, of the same shape as ``codes``.

        Args:
            codes: int32 (B, ...), sent in raster order, the most significant bit first.
            ber: The mean bit error rate, float (B, 1), below 0.5 burst_bits / (burst_bits + 1).
            noise: Uniform in [0, 1), float (B, ..., bits, 2): for the change of state, and for the flip.
        """
        weights = ops.convert_to_tensor([1 << (self.bits - 1 - i) for i in range(self.bits)], dtype="int32")
        bits = ops.floor_divide(ops.expand_dims(codes, -1), weights) % 2
        draws = ops.reshape(noise, (ops.shape(codes)[0], -1, 2))
        share = 2.0 * ops.reshape(ber, (-1,))
        leave_bad = 1.0 / self.burst_bits
        leave_good = share * leave_bad / (1.0 - share)

        def step(bad: Any, draw: Any) -> tuple[Any, Any]:
            after = ops.where(bad, draw >= leave_bad, draw < leave_good)
            return after, after

        first = draws[:, 0, 0] < share
        _, rest = ops.scan(step, first, ops.transpose(draws[:, 1:, 0]))
        bad = ops.concatenate([ops.expand_dims(first, 1), ops.transpose(rest)], axis=1)
        flips = ops.cast(ops.logical_and(bad, draws[:, :, 1] < 0.5), "int32")
        flips = ops.reshape(flips, ops.shape(bits))
        return ops.sum((bits + flips - 2 * bits * flips) * weights, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "bits": self.bits, "burst_bits": self.burst_bits}


class FrameLossChannel(keras.layers.Layer):
    """Loses frames: the values of the symbols in them become the neutral value 0.

    Args:
        frame_symbols: Symbols of a frame.
    """

    def __init__(self, frame_symbols: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frame_symbols = frame_symbols

    def call(self, values: Any, loss: Any, noise: Any) -> Any:
        """The values, 0 where the frame was lost, float of the shape of ``values``.

        Args:
            values: Received values, float (B, ...), sent in raster order.
            loss: The share of frames that are lost, float (B, 1).
            noise: Uniform in [0, 1), float (B, frames).
        """
        kept = ops.cast(noise >= loss, values.dtype)
        flat = ops.reshape(values, (ops.shape(values)[0], -1))
        mask = ops.repeat(kept, self.frame_symbols, axis=1)[:, : flat.shape[1]]
        return ops.reshape(flat * mask, ops.shape(values))

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "frame_symbols": self.frame_symbols}
