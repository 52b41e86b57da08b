"""The closed form as weights of the codec: transform, bits and centres of each level."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from semflash.codecs.lamsc.fitting import Levels
from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.program.patch_stages import COEFFICIENT_BITS_MAX

CENTRES = 1 << COEFFICIENT_BITS_MAX


class LevelTables(keras.layers.Layer):
    """Transform (n, K), deviations (K,), bits (levels - 1, K) and centres (levels - 1, K, 64); nothing of it
    is learnt by gradients. Without :meth:`begin` nothing is coded.

    Args:
        sizes: Of the codec.
    """

    def __init__(self, sizes: LamscSizes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = sizes

    def build(self, input_shape: Any) -> None:
        """Create the arrays."""
        del input_shape
        values, count = self.sizes.patch_values, self.sizes.coefficients
        steps = len(self.sizes.level_bits) - 1
        fixed: dict[str, Any] = {"trainable": False, "initializer": "zeros"}
        self.vectors = self.add_weight(shape=(values, count), name="vectors", **fixed)
        self.deviation = self.add_weight(shape=(count,), name="deviation", **fixed)
        self.given = self.add_weight(shape=(steps, count), name="given", **fixed)
        self.centres = self.add_weight(shape=(steps, count, CENTRES), name="centres", **fixed)
        # Until it is fitted: unit vectors, and bits as they come, so that the codec can be described.
        self.begin(_unfitted(self.sizes))

    def begin(self, fitted: Levels) -> None:
        """Take a closed form."""
        centres = np.zeros(self.centres.shape, np.float32)
        for level, each in enumerate(fitted.centres):
            for which, values in enumerate(each):
                centres[level, which, : len(values)] = values
        for variable, value in (
            (self.vectors, fitted.vectors),
            (self.deviation, fitted.deviation),
            (self.given, fitted.bits),
            (self.centres, centres),
        ):
            variable.assign(np.asarray(value, np.float32))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Bits int (levels - 1, K), centres float32 (levels - 1, K, 64)."""
        return np.asarray(ops.convert_to_numpy(self.given)).astype(np.int64), np.asarray(
            ops.convert_to_numpy(self.centres)
        )

    def matrix(self) -> np.ndarray:
        """The transform, float32 (n, K)."""
        return np.asarray(ops.convert_to_numpy(self.vectors))

    def spread(self) -> np.ndarray:
        """The deviation of each coefficient, float32 (K,)."""
        return np.asarray(ops.convert_to_numpy(self.deviation))

    def closed(self) -> Levels:
        """What :meth:`begin` took."""
        given, centres = self.arrays()
        each = tuple(
            tuple(row[: 1 << bits] if bits else row[:0] for row, bits in zip(rows, own, strict=True))
            for rows, own in zip(centres.astype(np.float64), given.tolist(), strict=True)
        )
        return Levels(self.matrix().astype(np.float64), self.spread().astype(np.float64), given, each)


def _unfitted(sizes: LamscSizes) -> Levels:
    """Single pixels with even centres."""
    count = sizes.coefficients
    bits = np.zeros((len(sizes.level_bits) - 1, count), np.int64)
    for row, total in zip(bits, sizes.level_bits[1:], strict=True):
        row += total // count
        row[: total % count] += 1
    centres = tuple(
        tuple((np.arange(1 << b) + 0.5) / (1 << b) - 0.5 if b else np.zeros(0) for b in row.tolist())
        for row in bits
    )
    return Levels(np.eye(sizes.patch_values)[:, :count], np.ones(count), bits, centres)
