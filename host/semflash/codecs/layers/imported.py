"""Layers that imported networks need and Keras does not have: padding with a value, constants as operands.

Backend-neutral; registered by name, so that a model with them can be kept as JSON.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

_register = keras.saving.register_keras_serializable(package="semflash")


@_register
class ConstantPad(layers.Layer):
    """Rows, columns and channels around a map (B, h, w, c), filled with one value.

    Args:
        padding: (before, after) of rows, columns and channels.
        value: what stands there; -inf before a maximum.
    """

    def __init__(self, padding: Any, value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = tuple((int(before), int(after)) for before, after in padding)
        # The lowest float instead of -inf: JSON has no infinity, and a maximum sees no difference.
        self.value = max(float(value), -3.4e38)

    def call(self, x: Any) -> Any:
        """The map with its margins."""
        return ops.pad(x, ((0, 0), *self.padding), constant_values=self.value)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, h + ..., w + ..., c + ...)."""
        sides = (side + sum(more) for side, more in zip(input_shape[1:], self.padding, strict=True))
        return (input_shape[0], *sides)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"padding": [list(p) for p in self.padding], "value": self.value}


@_register
class Scale(layers.Layer):
    """x times a trained constant, broadcast; ``shape``: of the constant, without the batch."""

    def __init__(self, shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(int(side) for side in shape)

    def build(self, input_shape: Any) -> None:
        """One weight, ``constant``."""
        del input_shape
        self.constant = self.add_weight(shape=self.shape, initializer="ones", name="constant")

    def call(self, x: Any) -> Any:
        """The product."""
        return x * self.constant

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Broadcast of both."""
        return _broadcast(input_shape, self.shape)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"shape": list(self.shape)}


@_register
class Offset(Scale):
    """x plus a trained constant, broadcast."""

    def call(self, x: Any) -> Any:
        """The sum."""
        return x + self.constant


def _broadcast(left: Any, right: Any) -> Any:
    batch, sides = left[0], list(left[1:])
    constant = [1] * (len(sides) - len(right)) + list(right)
    return (batch, *(max(a, b) for a, b in zip(sides, constant, strict=True)))
