"""The binary symmetric channel as training sees it: every bit of a code flips with probability BER.

The channel itself works on integers and has no gradient; the quantiser puts it between the codes and the
received values so that gradients pass around it
(:meth:`semflash.codecs.layers.quantiser.CentreQuantiser.call`).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from semflash.channels.ber_range import BerRange as BerRange


class SymbolSwapChannel(keras.layers.Layer):
    """Swaps whole symbols for random ones, as the released training code of SemanticNN does: no bit flips.

    Args:
        levels: codes 0..levels-1.
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = levels

    def call(self, codes: Any, ber: Any, noise: Any) -> Any:
        """Damaged codes int32, same shape as ``codes``: with probability ``ber`` any of the codes.

        Args:
            codes: int32 (B, ...).
            ber: float (B, 1).
            noise: float (B, ..., 2), uniform in [0, 1): whether, and for which.
        """
        rate = ops.reshape(ber, (-1,) + (1,) * (len(codes.shape) - 1))
        other = ops.cast(ops.floor(noise[..., 1] * self.levels), "int32")
        return ops.where(noise[..., 0] < rate, other, codes)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "levels": self.levels}


class BinarySymmetricChannel(keras.layers.Layer):
    """Flips bits of codes.

    Args:
        bits: bits per code.
        seed: of the layer's own noise, used where a call brings none.
    """

    def __init__(self, bits: int, *, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits = bits
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, codes: Any, ber: Any, noise: Any = None) -> Any:
        """Damaged codes int32, same shape as ``codes``, in 0..2^bits - 1.

        Args:
            codes: int32 (B, ...).
            ber: float (B, 1), 0..0.5.
            noise: float (B, ..., bits), uniform in [0, 1); None: drawn here. The first of the bits is
                the most significant.
        """
        weights = ops.convert_to_tensor([1 << (self.bits - 1 - i) for i in range(self.bits)], dtype="int32")
        bits = ops.floor_divide(ops.expand_dims(codes, -1), weights) % 2
        if noise is None:
            noise = keras.random.uniform(ops.shape(bits), seed=self.generator)
        rate = ops.reshape(ber, (-1,) + (1,) * (len(bits.shape) - 1))
        flips = ops.cast(noise < rate, "int32")
        return ops.sum((bits + flips - 2 * bits * flips) * weights, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "bits": self.bits, "seed": self.seed}
