"""Shapes that a .tflite with an open batch computes by itself, such as the target of a RESHAPE.

TensorFlow's converter writes SHAPE, STRIDED_SLICE and CONCATENATION of int32 vectors where the batch is open,
and leaves sides of the result open that are known: they are followed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from semflash.errors import TrainingError
from semflash.importing.tflite.slices import Masks
from semflash_codegen.ir import Operator
from semflash_codegen.schema import TensorType

_KINDS = ("SHAPE", "STRIDED_SLICE", "CONCATENATION")


class ComputedShapes:
    """Values of the vectors; None stands for the batch.

    Args:
        shape_of: shape without the batch of a tensor that holds an image or features.
        constant: value of a constant.
    """

    def __init__(
        self, shape_of: Callable[[int], Sequence[int]], constant: Callable[[int], np.ndarray]
    ) -> None:
        self._shape_of, self._constant = shape_of, constant
        self._values: dict[int, list[int | None]] = {}

    def follow(self, operator: Operator, output_type: TensorType) -> bool:
        """Whether the operator works on shapes, its result kept then. TrainingError: not like this."""
        if operator.name not in _KINDS or output_type != TensorType.INT32:
            return False
        inputs = operator.inputs
        if operator.name == "SHAPE":
            value: list[int | None] = [None, *self._shape_of(inputs[0])]
        elif operator.name == "CONCATENATION":
            value = [side for index in inputs for side in self._vector(index)]
        else:
            value = self._slice(operator, inputs)
        self._values[operator.outputs[0]] = value
        return True

    def target(self, index: int) -> tuple[int, ...] | None:
        """A vector as a shape without the batch; None: not computed here. TrainingError: the batch moves."""
        value = self._values.get(index)
        if value is None:
            return None
        sides = tuple(side for side in value[1:] if side is not None)
        if value[0] is not None or len(sides) + 1 != len(value):
            raise TrainingError("a RESHAPE moves the batch", value=value)
        return sides

    def _vector(self, index: int) -> list[int | None]:
        found = self._values.get(index)
        return self._constant(index).ravel().tolist() if found is None else found

    def _slice(self, operator: Operator, inputs: tuple[int, ...]) -> list[int | None]:
        masks = Masks.of(operator)
        begin, end, step = (int(self._constant(index).ravel()[0]) for index in inputs[1:4])
        if masks.ellipsis or masks.new_axis or masks.shrink_axis:
            raise TrainingError("a STRIDED_SLICE of a shape is more than a slice", value=inputs[0])
        return self._vector(inputs[0])[None if masks.begin else begin : None if masks.end else end : step]
