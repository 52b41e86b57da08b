"""What a network does to the numbers of its image before its first weights, and which numbers it is made for.

A network that divides by 255 itself takes pixels of 0..255; given [0, 1] it sees black images, without an
error anywhere. Its first steps are followed as long as each is a product and a sum, which tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.tasks.keras.nested import nodes_of, tensor_name

#: A network for [0, 1] multiplies by 1 to 5 (1 / 0.2), one for 0..255 by 1/255 to 1/50, or takes off 100.
_FACTOR_OF_PIXELS, _CENTRE_OF_PIXELS = 0.05, 4.0
#: What differs from 0 or 1 by no more than a float32 is that.
_ROUNDING = 1e-6
#: Layers that do nothing when nothing is trained.
_IDLE = frozenset(
    (
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "SpatialDropout2D",
        *(
            f"Random{what}"
            for what in (
                "Brightness",
                "ColorDegeneration",
                "ColorJitter",
                "Contrast",
                "Erasing",
                "Flip",
                "Grayscale",
                "Hue",
                "Perspective",
                "Posterization",
                "Rotation",
                "Saturation",
                "Sharpness",
                "Shear",
                "Translation",
                "Zoom",
            )
        ),
    )
)


@dataclass(frozen=True)
class Affine:
    """x times ``scale`` plus ``offset``, each (C,) in the order of the network's channels."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def of(cls, channels: int, scale: Any = 1.0, offset: Any = 0.0) -> Affine:
        """From numbers, one or one per channel. ValueError: another shape."""
        parts = [
            np.broadcast_to(np.ravel(np.asarray(value, np.float64)), (channels,)) for value in (scale, offset)
        ]
        return cls(*parts)

    def then(self, step: Affine) -> Affine:
        """Both, one after the other."""
        return Affine(self.scale * step.scale, self.offset * step.scale + step.offset)

    @property
    def changes(self) -> bool:
        """Not the identity."""
        return bool(np.abs(self.scale - 1).max() > _ROUNDING or np.abs(self.offset).max() > _ROUNDING)

    @property
    def for_pixels(self) -> bool:
        """Whether it brings numbers of 0..255, not of 0..1, to what networks work on.

        >>> Affine.of(3, 1 / 255).for_pixels, Affine.of(3, 2.0, -1.0).for_pixels
        (True, False)
        >>> Affine.of(1, 1 / 127.5, -1.0).for_pixels, Affine.of(1, 1.0, -123.7).for_pixels
        (True, True)
        """
        scale, offset = float(np.median(np.abs(self.scale))), float(np.median(np.abs(self.offset)))
        return 0 < scale < _FACTOR_OF_PIXELS or offset > _CENTRE_OF_PIXELS * scale > 0

    def combined(self, mean: Any, std: Any, bgr: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std (red first) of ``(image - mean) / std`` with this behind it; empty for none.

        Args:
            mean: What the network takes off its input: empty, one number or one per channel.
            std: What it divides by, likewise.
            bgr: Blue first.
        """
        scale, offset = (part[::-1] if bgr else part for part in (self.scale, self.offset))
        means, stds = np.asarray(list(mean) or [0.0]), np.asarray(list(std) or [1.0])
        return _short(means - offset * stds / scale, 0.0), _short(stds / scale, 1.0)


def _short(values: NDArray[np.float64], default: float) -> tuple[float, ...]:
    if np.abs(values - default).max() <= _ROUNDING:
        return ()
    return (float(values[0]),) if np.ptp(values) == 0 else tuple(values.tolist())


@dataclass(frozen=True)
class Beginning:
    """The first steps of a network.

    Attributes:
        fixed: of those without weights, which can be left out for it; ``tensor``: what they give.
        whole: with the BatchNormalization behind them.
    """

    tensor: Any
    fixed: Affine
    whole: Affine


def beginning_of(graph: Any, until: str = "") -> Beginning:
    """Follow a functional Keras model from its image on.

    Args:
        until: a tensor that is not left out.
    """
    tensor, channels = graph.inputs[0], int(graph.inputs[0].shape[-1])
    fixed = whole = Affine.of(channels)
    while True:
        readers = [node for node in nodes_of(graph) if any(one is tensor for one in node.input_tensors)]
        if len(readers) != 1 or len(readers[0].outputs) != 1 or len(readers[0].input_tensors) != 1:
            return Beginning(tensor, fixed, whole)
        node = readers[0]
        step = _affine(node, channels)
        learnt = isinstance(node.operation, keras.layers.BatchNormalization)
        if step is None or learnt:
            return Beginning(tensor, fixed, whole if step is None else whole.then(step))
        if not (step.scale > 0).all() or tensor_name(node.outputs[0]) == until:
            return Beginning(tensor, fixed, whole.then(step))
        tensor, fixed, whole = node.outputs[0], fixed.then(step), whole.then(step)


def _affine(node: Any, channels: int) -> Affine | None:
    """What a call does to its image, or None: more than a product and a sum for each channel."""
    operation = node.operation
    kind = type(operation).__name__
    try:
        if kind in _IDLE:
            return Affine.of(channels)
        if isinstance(operation, keras.layers.Rescaling):
            return Affine.of(channels, operation.scale, operation.offset)
        if isinstance(operation, keras.layers.Normalization) and not operation.invert:
            mean, variance = (np.ravel(np.asarray(v)) for v in (operation.mean, operation.variance))
            std = np.maximum(np.sqrt(variance.astype(np.float64)), keras.config.epsilon())
            return Affine.of(channels, 1 / std, -mean / std)
        if isinstance(operation, keras.layers.BatchNormalization):
            return _normalised(operation, channels)
        return _arithmetic(kind, node, channels)
    except ValueError:  # constants of another shape than one or one per channel
        return None


def _normalised(layer: Any, channels: int) -> Affine:
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(v), np.float64)
        for v in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * keras.ops.convert_to_numpy(layer.gamma)
    shift = keras.ops.convert_to_numpy(layer.beta) if layer.center else 0.0
    return Affine.of(channels, scale, shift - mean * scale)


def _arithmetic(kind: str, node: Any, channels: int) -> Affine | None:
    """Of ``keras.ops``: a sum, difference, product or quotient of the image and a constant."""
    given = [*node.arguments.args, *node.arguments.kwargs.values()]
    if len(given) != 2 or isinstance(given[0], keras.KerasTensor) == isinstance(given[1], keras.KerasTensor):
        return None
    first = isinstance(given[0], keras.KerasTensor)
    constant = np.asarray(given[1] if first else given[0], np.float64)
    if constant.size not in (1, channels) or (constant.ndim and constant.shape[-1] != constant.size):
        return None
    if kind == "Add":
        return Affine.of(channels, 1.0, constant)
    if kind == "Multiply":
        return Affine.of(channels, constant)
    if kind == "Subtract":
        return Affine.of(channels, 1.0, -constant) if first else Affine.of(channels, -1.0, constant)
    if kind in ("Divide", "TrueDivide") and first and np.all(constant != 0):
        return Affine.of(channels, 1 / constant)
    return None
