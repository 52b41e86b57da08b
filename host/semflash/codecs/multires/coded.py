"""A coder on many patches: compiled once, for numbers of patches that are powers of two."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from semflash.codecs.multires.coder import LevelCoder

#: Numbers of patches in a call.
LEAST, MOST = 64, 4_096


class Coded:
    """Patches as they arrive from one coder.

    A number of patches that was not seen before would be compiled anew, so patches are padded to the next
    power of two.

    Args:
        coder: Its weights are those of the moment in each call.
        values: Of a patch.
    """

    def __init__(self, coder: LevelCoder, values: int) -> None:
        patch = keras.Input((values,), name="patch")
        self._model = keras.Model(patch, ops.clip(coder(patch), 0.0, 1.0))

    def __call__(self, patches: Any) -> NDArray[np.float32]:
        """Float32 (..., values) in [0, 1], of patches of the same shape."""
        given = np.asarray(patches, np.float32)
        flat = given.reshape(-1, given.shape[-1])
        parts = [self._padded(flat[start : start + MOST]) for start in range(0, len(flat), MOST)]
        return np.concatenate(parts).reshape(given.shape) if parts else given

    def _padded(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        count = max(LEAST, 1 << (len(patches) - 1).bit_length())
        padded = np.pad(patches, ((0, count - len(patches)), (0, 0)))
        return np.asarray(self._model.predict_on_batch(padded)[: len(patches)], np.float32)


def joined(patches: NDArray[Any], image_shape: tuple[int, int, int], side: int) -> NDArray[Any]:
    """Images (N, H, W, C) of patches (N, n, values) in raster order."""
    height, width, channels = image_shape
    parts = patches.reshape(-1, height // side, width // side, side, side, channels)
    return np.ascontiguousarray(parts.transpose(0, 1, 3, 2, 4, 5)).reshape(-1, height, width, channels)
