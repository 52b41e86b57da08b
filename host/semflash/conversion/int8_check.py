"""How far a head that is quantised to int8 is from the float one: what it would give on the device."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.conversion.graphs import Int8Graph, convert_int8
from semflash.runtime.reference import ReferenceGraph


@dataclass(frozen=True)
class Int8Check:
    """Differences between dequantised int8 features and float ones.

    Attributes:
        max_difference: The largest absolute difference, in the features' own unit.
        mean_difference: The mean absolute difference, in the same unit.
        relative_difference: Root of the mean squared difference over the features' spread (:func:`spread`).
        step: Of the int8 features.
        macs: For one image.
        operators: Of the int8 graph.
    """

    max_difference: float
    mean_difference: float
    relative_difference: float
    step: float
    macs: int
    operators: list[str]

    def described(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


def spread(values: NDArray[np.floating]) -> float:
    """How far values move from one image to another, whatever stays the same in all: the root of the mean
    variance of each entry over the images.

    Args:
        values: (N, ...), at least two images.

    >>> spread(np.array([[100.0, 1.0], [100.0, 3.0]]))
    0.7071067811865476
    """
    return float(np.sqrt(np.asarray(values, np.float64).var(axis=0).mean()))


def check_int8(
    head: keras.Model, calibration: NDArray[np.uint8], images: NDArray[np.uint8]
) -> tuple[Int8Check, Int8Graph]:
    """Quantise a head and compare; returns the differences and the graph.

    Args:
        head: float images (B, H, W, C) in [0, 1] to features (B, h, w, c).
        calibration: uint8 (N, H, W, C), the images that give the ranges.
        images: uint8 (N, H, W, C), the images that are compared.

    Raises:
        ExportError: it does not become pure int8.
    """
    graph = convert_int8(head, calibration)
    values = ReferenceGraph(graph.data, "head.tflite").run(
        np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)
    )
    real = (values.astype(np.float64) - graph.output_zero_point) * graph.output_scale
    scaled = images.astype(np.float32) / np.float32(255)
    features = keras.ops.convert_to_numpy(head(scaled, training=False)).astype(np.float64)
    difference = np.abs(real.reshape(features.shape) - features)
    check = Int8Check(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        relative_difference=float(np.sqrt((difference**2).mean()) / max(spread(features), 1e-12)),
        step=graph.output_scale,
        macs=graph.macs,
        operators=graph.operators,
    )
    return check, graph
