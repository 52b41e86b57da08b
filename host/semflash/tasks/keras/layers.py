"""Layers that imported networks need and Keras does not have: padding with a value, constants as operands,
parts of a tensor, powers, products of two tensors.

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


@_register
class Part(layers.Layer):
    """A part of a tensor, as Python's slices take it.

    Args:
        slices: (start, stop, step) of each axis behind the batch; None: from the first, to the last, each.
    """

    def __init__(self, slices: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = tuple(tuple(None if v is None else int(v) for v in one) for one in slices)

    def call(self, x: Any) -> Any:
        """The part."""
        return x[(slice(None), *(slice(*one) for one in self.slices))]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The batch, and how much each slice takes."""
        sides = (
            len(range(side)[slice(*one)]) for side, one in zip(input_shape[1:], self.slices, strict=True)
        )
        return (input_shape[0], *sides)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"slices": [list(one) for one in self.slices]}


@_register
class Select(layers.Layer):
    """Entries of the last axis by their indices, in their order; they may repeat."""

    def __init__(self, indices: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indices = tuple(int(index) for index in indices)

    def call(self, x: Any) -> Any:
        """The entries."""
        return ops.take(x, ops.convert_to_tensor(self.indices, "int32"), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(..., entries)."""
        return (*input_shape[:-1], len(self.indices))

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"indices": list(self.indices)}


@_register
class Power(layers.Layer):
    """x to a fixed power."""

    def __init__(self, exponent: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exponent = float(exponent)

    def call(self, x: Any) -> Any:
        """The power; a square of a negative number is its square."""
        return ops.square(x) if self.exponent == 2 else ops.power(x, self.exponent)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"exponent": self.exponent}


@_register
class Product(layers.Layer):
    """Matrix product of two tensors (..., rows, inner) and (..., inner, columns), for attention.

    Args:
        transposed: whether the left and the right one come with their last two axes exchanged.
    """

    def __init__(self, transposed: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.transposed = tuple(bool(one) for one in transposed)

    def call(self, pair: Any) -> Any:
        """The product (..., rows, columns)."""
        left, right = (
            ops.swapaxes(x, -1, -2) if turned else x for x, turned in zip(pair, self.transposed, strict=True)
        )
        return ops.matmul(left, right)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(..., rows, columns); both have the same leading axes."""
        left, right = input_shape
        rows, columns = (left[-1] if self.transposed[0] else left[-2]), right[-1 - self.transposed[1]]
        return (*left[:-2], rows, columns)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {"transposed": list(self.transposed)}


def _broadcast(left: Any, right: Any) -> Any:
    batch, sides = left[0], list(left[1:])
    constant = [1] * (len(sides) - len(right)) + list(right)
    return (batch, *(max(a, b) for a, b in zip(sides, constant, strict=True)))
