"""The first steps of an ONNX network, as :mod:`semflash.tasks.keras.input_range` has them of Keras models."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from semflash.tasks.keras.input_range import Affine, Beginning

_IDLE = ("Identity", "Dropout")


def beginning_of(model: Any, image: str, channels: int, *, channels_first: bool, until: str) -> Beginning:
    """Follow a network from its image on, over sums and products with constants.

    Args:
        image: Its input.
        until: A tensor that is not left out.

    Returns:
        ``tensor`` is a name.
    """
    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    for node in graph.node:
        value = next(
            (at.t for at in node.attribute if node.op_type == "Constant" and at.name == "value"), None
        )
        if value is not None:
            constants[node.output[0]] = value
    tensor = image
    fixed = whole = Affine.of(channels)
    while True:
        readers = [node for node in graph.node if tensor in node.input]
        if len(readers) != 1 or any(tensor == value.name for value in graph.output):
            return Beginning(tensor, fixed, whole)
        node = readers[0]
        step = _affine(node, tensor, constants, channels, channels_first)
        if step is None or node.op_type == "BatchNormalization":
            return Beginning(tensor, fixed, whole if step is None else whole.then(step))
        if not (step.scale > 0).all() or node.output[0] == until:
            return Beginning(tensor, fixed, whole.then(step))
        tensor, fixed, whole = node.output[0], fixed.then(step), whole.then(step)


def _affine(
    node: Any, tensor: str, constants: dict[str, Any], channels: int, channels_first: bool
) -> Affine | None:
    """What a node does to the image, or None: more than a product and a sum for each channel."""
    if node.op_type in _IDLE:
        return Affine.of(channels)
    values = [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
    if node.op_type == "BatchNormalization" and len(values) == 4 and channels_first:
        gamma, beta, mean, variance = (value.astype(np.float64) for value in values)
        given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        scale = gamma / np.sqrt(variance + given.get("epsilon", 1e-5))
        return Affine.of(channels, scale, beta - mean * scale)
    if len(node.input) != 2 or len(values) != 1 or not _per_channel(values[0], channels, channels_first):
        return None
    constant, first = np.ravel(values[0]).astype(np.float64), node.input[0] == tensor
    if node.op_type == "Add":
        return Affine.of(channels, 1.0, constant)
    if node.op_type == "Mul":
        return Affine.of(channels, constant)
    if node.op_type == "Sub":
        return Affine.of(channels, 1.0, -constant) if first else Affine.of(channels, -1.0, constant)
    if node.op_type == "Div" and first and np.all(constant != 0):
        return Affine.of(channels, 1 / constant)
    return None


def _per_channel(value: np.ndarray, channels: int, channels_first: bool) -> bool:
    """One number, or one per channel at the channels' axis."""
    if value.size == 1:
        return value.ndim <= 4
    shape = (1,) * (4 - value.ndim) + value.shape
    return shape == ((1, channels, 1, 1) if channels_first else (1, 1, 1, channels))
