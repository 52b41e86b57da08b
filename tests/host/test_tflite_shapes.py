"""Shapes that a .tflite with an open batch computes: followed through SHAPE, slices and concatenation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semflash.errors import TrainingError
from semflash.importing.tflite.shapes import INT32, ComputedShapes

FLOAT32 = 0
CONSTANTS = {10: 0, 11: 1, 12: 2, 13: [8], 14: [4, 48], 15: -1}


def shapes() -> ComputedShapes:
    """Tensor 0 holds features (batch, 4, 4, 48)."""
    return ComputedShapes(lambda index: {0: (4, 4, 48)}[index], lambda index: np.array(CONSTANTS[index]))


def operator(inputs: list[int], output: int, **options: Any) -> Any:
    masks = dict.fromkeys(("beginMask", "endMask", "ellipsisMask", "newAxisMask", "shrinkAxisMask"), 0)
    return SimpleNamespace(
        inputs=inputs, outputs=[output], builtinOptions=SimpleNamespace(**(masks | options))
    )


def test_the_target_of_an_upsampling_is_the_batch_with_constant_sides() -> None:
    found = shapes()
    assert found.follow("SHAPE", operator([0], 1), INT32)
    assert found.follow("STRIDED_SLICE", operator([1, 10, 11, 11], 2, beginMask=1), INT32)
    assert found.follow("CONCATENATION", operator([2, 13, 14], 3), INT32)
    assert found.target(3) == (8, 4, 48)
    assert found.follow("STRIDED_SLICE", operator([1, 11, 10, 11], 4, endMask=1), INT32)
    assert found.follow("CONCATENATION", operator([2, 4], 5), INT32)
    assert found.target(5) == (4, 4, 48)


def test_operators_on_features_and_other_operators_are_left_alone() -> None:
    found = shapes()
    assert not found.follow("CONCATENATION", operator([0, 0], 1), FLOAT32)
    assert not found.follow("CAST", operator([0], 1), INT32)
    assert found.target(1) is None


def test_a_target_that_moves_the_batch_and_a_slice_that_drops_an_axis_are_refused() -> None:
    found = shapes()
    found.follow("SHAPE", operator([0], 1), INT32)
    found.follow("CONCATENATION", operator([13, 1], 2), INT32)
    with pytest.raises(TrainingError, match="moves the batch"):
        found.target(2)
    with pytest.raises(TrainingError, match="more than a slice"):
        found.follow("STRIDED_SLICE", operator([1, 10, 11, 11], 3, shrinkAxisMask=1), INT32)
