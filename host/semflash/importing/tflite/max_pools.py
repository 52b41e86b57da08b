"""A maximum over a padded map without the padding's number, which would enter the int8 range of the map.

ONNX pads a maximum with nothing; converters write the lowest float there, -3.4e38. A calibration takes it
for a value of the map, and then nothing else is left of an int8 map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.tasks.keras.layers import ConstantPad

#: What no map holds: converters write the lowest float, or minus infinity.
LOWEST = -3.0e38


@dataclass(frozen=True)
class Padded:
    """What a PAD of the lowest number read: ``source``, (before, after) of rows and of columns."""

    source: Any
    padding: tuple[tuple[int, int], tuple[int, int]]


def padded_nowhere(x: Any, padding: np.ndarray, value: float) -> Padded | None:
    """The padding of a map (B, h, w, c) with the lowest number around rows and columns, or None.

    Args:
        padding: (before, after) of batch, rows, columns and channels.
        value: What stands there.
    """
    if value > LOWEST or padding.shape != (4, 2) or padding[0].any() or padding[3].any():
        return None
    rows, columns = ((int(before), int(after)) for before, after in padding[1:3])
    return Padded(x, (rows, columns))


def maximum(padded: Padded, size: tuple[int, int], strides: tuple[int, int]) -> Any | None:
    """The maximum over ``size`` of the padded map, without the padding's number where that can be; else None.

    Where TensorFlow's SAME pads alike, that. Behind a ReLU a 0 never wins. A window that reaches as far to
    both sides: every maximum of stride 1, which SAME centres, then every n-th of them.
    """
    x = padded.source
    sides = tuple(zip(x.shape[1:3], size, strides, padded.padding, strict=True))
    if all(_same(side, k, stride) == pads for side, k, stride, pads in sides):
        return layers.MaxPooling2D(size, strides, padding="same")(x)
    if _at_least_zero(x):
        margin = ConstantPad([*padded.padding, (0, 0)], 0.0)(x)
        return layers.MaxPooling2D(size, strides)(margin)
    if all(k % 2 and pads == (k // 2, k // 2) for _, k, _, pads in sides):
        every = layers.MaxPooling2D(size, 1, padding="same")(x)
        return layers.MaxPooling2D(1, strides)(every)
    return None


def _same(side: int, size: int, stride: int) -> tuple[int, int]:
    """(before, after) that TensorFlow's SAME pads."""
    total = max((-(-side // stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


def _at_least_zero(x: Any) -> bool:
    """Whether a symbolic tensor comes out of a ReLU, or of maxima of one."""
    operation = x._keras_history.operation
    while isinstance(operation, layers.MaxPooling2D):
        operation = operation.input._keras_history.operation
    if isinstance(operation, layers.ReLU):
        return not np.any(keras.ops.convert_to_numpy(operation.negative_slope)) and operation.threshold == 0
    return False
