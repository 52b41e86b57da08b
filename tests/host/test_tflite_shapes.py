"""Shapes that a .tflite with an open batch computes: followed through SHAPE, slices and concatenation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from semflash.errors import TrainingError
from semflash.importing.tflite.shapes import ComputedShapes
from semflash_codegen.ir import Operator
from semflash_codegen.schema import Options, TensorType

INT32, FLOAT32 = TensorType.INT32, TensorType.FLOAT32
#: Fields of StridedSliceOptions in schema.fbs.
BEGIN_MASK, END_MASK, SHRINK_AXIS_MASK = 0, 1, 4
CONSTANTS = {10: 0, 11: 1, 12: 2, 13: [8], 14: [4, 48], 15: -1}


def shapes() -> ComputedShapes:
    """Tensor 0 holds features (batch, 4, 4, 48)."""
    return ComputedShapes(lambda index: {0: (4, 4, 48)}[index], lambda index: np.array(CONSTANTS[index]))


def operator(
    name: str, inputs: tuple[int, ...], output: int, options: dict[int, int] | None = None
) -> Operator:
    """An operator with options by their numbers in the schema."""
    table = SimpleNamespace(integer=lambda number, code, default: (options or {}).get(number, default))
    return Operator(0, name, inputs, (output,), Options.STRIDED_SLICE, table)  # type: ignore[arg-type]


def test_the_target_of_an_upsampling_is_the_batch_with_constant_sides() -> None:
    found = shapes()
    assert found.follow(operator("SHAPE", (0,), 1), INT32)
    assert found.follow(operator("STRIDED_SLICE", (1, 10, 11, 11), 2, {BEGIN_MASK: 1}), INT32)
    assert found.follow(operator("CONCATENATION", (2, 13, 14), 3), INT32)
    assert found.target(3) == (8, 4, 48)
    assert found.follow(operator("STRIDED_SLICE", (1, 11, 10, 11), 4, {END_MASK: 1}), INT32)
    assert found.follow(operator("CONCATENATION", (2, 4), 5), INT32)
    assert found.target(5) == (4, 4, 48)


def test_operators_on_features_and_other_operators_are_left_alone() -> None:
    found = shapes()
    assert not found.follow(operator("CONCATENATION", (0, 0), 1), FLOAT32)
    assert not found.follow(operator("CAST", (0,), 1), INT32)
    assert found.target(1) is None


def test_a_target_that_moves_the_batch_and_a_slice_that_drops_an_axis_are_refused() -> None:
    found = shapes()
    found.follow(operator("SHAPE", (0,), 1), INT32)
    found.follow(operator("CONCATENATION", (13, 1), 2), INT32)
    with pytest.raises(TrainingError, match="moves the batch"):
        found.target(2)
    with pytest.raises(TrainingError, match="more than a slice"):
        found.follow(operator("STRIDED_SLICE", (1, 10, 11, 11), 3, {SHRINK_AXIS_MASK: 1}), INT32)
