"""Codes of a few bits that lie behind each other in whole bytes, on the edge."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

_BYTE = 8


class PackedCentres(keras.layers.Layer):
    """Bytes (..., bits / 8), numbers of 0 to 255, to what stands for their codes, (..., c); 0 for a
    coefficient without bits, and for one of which a byte did not arrive (a number below 0).

    The codes lie behind each other, the first coefficient and the most significant bit first. Nothing is
    looked up by what arrived: a bundle's graph compares instead.

    Args:
        given: int (c,), bits of each coefficient; their sum is a multiple of 8.
        centres: float (c, most), what stands for each code.
    """

    def __init__(self, given: NDArray[np.integer], centres: NDArray[np.floating], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits = int(given.sum())
        self._centres = np.asarray(centres, np.float32)[:, : 1 << int(given.max())]
        #: What each bit is worth in the code of each coefficient, (bits, c).
        self._worth = np.zeros((self.bits, len(given)), np.float32)
        place = 0
        for which, count in enumerate(given.tolist()):
            for bit in range(count):
                self._worth[place, which] = 1 << (count - 1 - bit)
                place += 1
        self._sent = (np.asarray(given) > 0).astype(np.float32)
        #: Whether a coefficient has bits in a byte, (bytes, c).
        self._in_byte = self._worth.reshape(-1, _BYTE, len(given)).max(axis=1) > 0

    def call(self, sent: Any) -> Any:
        """Centres."""
        whole = ops.maximum(sent, 0.0)
        parts = [ops.floor(whole / float(1 << shift)) for shift in range(_BYTE - 1, -1, -1)]
        bits = ops.stack([part - 2.0 * ops.floor(part / 2.0) for part in parts], axis=-1)
        bits = ops.reshape(bits, (-1, *sent.shape[1:-1], self.bits))
        codes = ops.matmul(bits, self._worth)
        numbers = np.arange(self._centres.shape[1], dtype=np.float32)
        same = ops.cast(ops.abs(codes[..., None] - numbers) < 0.5, "float32")
        found = ops.sum(same * self._centres, axis=-1)
        lost = ops.matmul(ops.cast(sent < -0.5, "float32"), self._in_byte.astype(np.float32))
        return found * self._sent * ops.cast(lost < 0.5, "float32")
