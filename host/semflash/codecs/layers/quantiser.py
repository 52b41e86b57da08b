"""Scalar quantiser with learnable centres (SemanticNN, arXiv 2511.11038, soft quantisation).

The straight-through step of the paper's released code gives the centres no gradient. Here two gradients are
told apart:

    received = centres[received code]                        forward value; its gradient goes to the centres,
               + soft(x) - stop_gradient(soft(x))            this one (zero forward) goes to the encoder

with soft(x) = sum_j c_j softmax_j(-sharpness |x - c_j|), c taken as constants. The centres thus learn from
what the decoder makes of the values it received, bit errors included.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.errors import UsageError

LEVELS_MIN = 2
LEVELS_MAX = 16


def bits_for(levels: int) -> int:
    """Bits of a fixed-length code for 2..16 levels.

    Raises:
        UsageError: fewer than 2 or more than 16 levels.
    """
    if not LEVELS_MIN <= levels <= LEVELS_MAX:
        raise UsageError(
            "number of centres out of range", value=levels, remedy=f"choose {LEVELS_MIN} to {LEVELS_MAX}"
        )
    return (levels - 1).bit_length()


class CentreQuantiser(keras.layers.Layer):
    """Nearest of K learnable centres; the code of a centre is the label of its rank in ascending order.

    Args:
        levels: K, 2..16.
        span: the centres start evenly spaced over [-span, span].
        sharpness: of the soft assignment; larger is closer to nearest-centre.
        learn: whether the centres are trained.
        labels: ``natural``: the label is the rank; ``gray``: rank xor rank / 2 (K a power of two).
    """

    def __init__(
        self,
        levels: int = 8,
        *,
        span: float = 1.0,
        sharpness: float = 8.0,
        learn: bool = True,
        labels: str = "natural",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bits = bits_for(levels)
        self.levels = levels
        self.span = span
        self.sharpness = sharpness
        self.learn = learn
        self.labels = labels

    @property
    def labels_of_ranks(self) -> np.ndarray | None:
        """uint8 (K,), the label of each rank; None: natural."""
        if self.labels == "natural":
            return None
        ranks = np.arange(self.levels)
        return (ranks ^ (ranks >> 1)).astype(np.uint8)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the centres (K,)."""
        del input_shape
        start = np.linspace(-self.span, self.span, self.levels, dtype=np.float32)
        self.raw_centres = self.add_weight(
            shape=(self.levels,),
            initializer=lambda *_, **__: ops.convert_to_tensor(start),
            name="centres",
            trainable=self.learn,
        )

    @property
    def centres(self) -> Any:
        """Float (K,), ascending."""
        return ops.sort(self.raw_centres)

    def ranks(self, x: Any) -> Any:
        """Rank of the nearest centre: float (...) to int32 (...), 0..K-1. No gradient."""
        centres = ops.stop_gradient(self.centres)
        thresholds = (centres[1:] + centres[:-1]) / 2.0
        above = ops.expand_dims(x, -1) > thresholds
        return ops.sum(ops.cast(above, "int32"), axis=-1)

    def codes(self, x: Any) -> Any:
        """Code of the nearest centre: float (...) to int32 (...), 0..K-1. No gradient."""
        ranks, labels = self.ranks(x), self.labels_of_ranks
        return ranks if labels is None else ops.take(ops.convert_to_tensor(labels.astype(np.int32)), ranks)

    def soft(self, x: Any) -> Any:
        """Soft value: float (...) to float (...); differentiable in x, the centres taken as constants."""
        centres = ops.stop_gradient(self.centres)
        return ops.sum(self._assignment(x, centres) * centres, axis=-1)

    def usage_deficit(self, x: Any) -> Any:
        """log K minus the entropy of the mean soft assignment, in nats: the Kullback-Leibler divergence of
        the use of the centres from even use. 0..log K, differentiable in x and in the centres.

        Args:
            x: float (B, ...), a batch of what the encoder computed.
        """
        weights = self._assignment(x, self.centres)
        share = ops.mean(ops.reshape(weights, (-1, self.levels)), axis=0)
        return ops.sum(share * ops.log(share * self.levels + 1e-9))

    def counted_usage_error(self, x: Any) -> Any:
        """Mean squared distance of the counted use of the centres from even use; counts have no gradient."""
        hits = ops.expand_dims(self.ranks(x), -1) == ops.arange(self.levels, dtype="int32")
        share = ops.mean(ops.reshape(ops.cast(hits, "float32"), (-1, self.levels)), axis=0)
        return ops.mean(ops.square(share - 1.0 / self.levels))

    def expected_error(self, x: Any, ber: Any) -> Any:
        """Expected squared error of what is received for x, quantisation and single flipped bits together,
        over the variance of the centres; differentiable in x and in the centres.

            (1 - b e) (x - c_r)^2 + e sum over bits (x - c_(r with that bit flipped))^2

        for rank r, b bits and BER e: first order in e, two flips in one code are left out.

        Args:
            x: float (B, ...). ber: float, broadcast to x, 0 to 1 / bits; higher rates count as 1 / bits.

        Returns:
            float, the shape of x, >= 0.
        """
        centres, ranks = self.centres, self.ranks(x)
        ber = ops.minimum(ber, 1.0 / self.bits)
        error = (1.0 - self.bits * ber) * ops.square(x - ops.take(centres, ranks))
        for flipped in self.flipped_ranks().T:
            there = ops.take(ops.convert_to_tensor(flipped), ranks)
            error += ber * ops.square(x - ops.take(centres, there))
        return error / ops.var(centres)

    def flipped_ranks(self) -> np.ndarray:
        """int32 (K, bits): the rank a receiver takes the code of each rank for, when one bit is flipped."""
        labels = self.labels_of_ranks
        labels = np.arange(self.levels) if labels is None else labels.astype(np.int64)
        codes = np.minimum(labels[:, None] ^ (1 << np.arange(self.bits)), self.levels - 1)
        return np.argsort(labels)[codes].astype(np.int32)

    def values(self, codes: Any) -> Any:
        """Centres of the codes: int32 (...) to float (...). Codes beyond K-1 (possible where K is no power of
        two and bits were flipped) stand for the last centre."""
        labels = self.labels_of_ranks
        if labels is not None:
            codes = ops.take(ops.convert_to_tensor(np.argsort(labels).astype(np.int32)), codes)
        return ops.take(self.centres, ops.minimum(codes, self.levels - 1))

    def _assignment(self, x: Any, centres: Any) -> Any:
        """Soft assignment float (..., K); each row sums to 1."""
        return ops.softmax(-self.sharpness * ops.abs(ops.expand_dims(x, -1) - centres), axis=-1)

    def call(self, x: Any, received: Any = None) -> Any:
        """Values at the receiver, float (...), with both gradients.

        Args:
            x: float (...), what the encoder computed.
            received: int32 (...), the codes after the channel; None: undamaged.
        """
        codes = self.codes(x) if received is None else received
        soft = self.soft(x)
        return self.values(codes) + soft - ops.stop_gradient(soft)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        own = {
            "levels": self.levels,
            "span": self.span,
            "sharpness": self.sharpness,
            "learn": self.learn,
            "labels": self.labels,
        }
        return {**super().get_config(), **own}
