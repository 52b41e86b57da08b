"""What the output of an ONNX network means: logits of a classifier, or a YOLO-like detector's boxes.

| form | shape | values |
| --- | --- | --- |
| logits | (1, classes) | |
| yolov8 (also v11) | (1, 4 + classes, anchors) | x, y, width, height in pixels; scores after a sigmoid |
| yolov5 (also v7) | (1, anchors, 5 + classes) | the same, an objectness before the scores |

Tails of detectors give one form, (B, anchors, 4 + classes): see :mod:`semflash.outputs.anchor_boxes`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.errors import TrainingError
from semflash.fields import CLASSES_MAX, OUTPUTS_MAX
from semflash.outputs.kinds import ANCHORS_MAX, BOX
from semflash.tasks.keras.layers import Part, Scale, Select
from semflash.tasks.names import BOXES

LOGITS, YOLOV8, YOLOV5 = "logits", "yolov8", "yolov5"
DETECTORS = (YOLOV8, YOLOV5)
NAMES_MAX_BYTES = 1 << 18
#: The longer side of an output whose number of classes is not known is the anchors' if it is so much longer.
_CLEARLY = 2
#: What a score may be beside 0..1, and the least number that some box has, if boxes are in pixels.
_ROUNDING, _PIXELS_LEAST = 1e-3, 2.0
_REMEDY = "--output-form yolov8 for (1, 4 + classes, anchors), yolov5 for (1, anchors, 5 + classes)"


@dataclass(frozen=True)
class Output:
    """Meaning of an output; ``anchors``: boxes of a detector, 0 for a classifier."""

    form: str
    classes: int
    anchors: int = 0

    @property
    def detects(self) -> bool:
        """A detector's."""
        return self.form in DETECTORS


def output_of(shape: tuple[int, ...], wanted: str | None = None, classes: int | None = None) -> Output:
    """Tell the form by the shape.

    Args:
        shape: of the output, (1, classes) or of three sides.
        wanted: ``yolov8`` or ``yolov5``, where the user says so.
        classes: how many there are, where that is known.

    Raises:
        TrainingError: the shape is of neither form, or of both.
    """
    if len(shape) == 2:
        if wanted is not None:
            raise TrainingError(
                "the output is a vector, one number per class, and no detector's",
                value=f"{shape}, --output-form {wanted}",
                remedy="leave --output-form out",
            )
        return Output(LOGITS, shape[1])
    fitting = _fitting(shape, classes)
    if wanted is None and classes is None:
        fitting = [one for one in fitting if one.anchors >= _CLEARLY * (one.classes + BOX)]
    if wanted is not None:
        fitting = [one for one in fitting if one.form == wanted]
    elif fitting and (len(fitting) > 1 or fitting[0] == Output(YOLOV5, 1, shape[1])):
        # (1, N, 6) is also what exports with a suppression inside give: corners, score, class
        raise TrainingError(
            "the output's shape does not tell its form",
            value=f"{shape}, {classes or 'unknown'} classes",
            remedy=f"say it: {_REMEDY}; exports with a suppression inside are not taken",
        )
    if not fitting:
        known = "" if classes is None else f" of {classes} classes"
        raise TrainingError(
            f"the output is not that of a {wanted or 'detector'}{known} in a form that is taken",
            value=shape,
            remedy=f"{_REMEDY}; export the network without its suppression, or give other class names",
        )
    _check_size(fitting[0], shape)
    return fitting[0]


def _fitting(shape: tuple[int, ...], classes: int | None) -> list[Output]:
    """Forms that a shape of three sides can be."""
    both = (Output(YOLOV8, shape[1] - BOX, shape[2]), Output(YOLOV5, shape[2] - BOX - 1, shape[1]))
    return [one for one in both if one.classes >= 1 and classes in (None, one.classes)]


def _check_size(output: Output, shape: tuple[int, ...]) -> None:
    numbers = output.anchors * (output.classes + BOX)
    if output.anchors > ANCHORS_MAX or output.classes > CLASSES_MAX or numbers > OUTPUTS_MAX:
        raise TrainingError(
            "the network gives too many boxes", value=shape, remedy="export it for smaller images"
        )


def check_values(raw: np.ndarray, output: Output) -> None:
    """Whether numbers of a detector can be what its form says; a shape alone cannot tell.

    Args:
        raw: float32 (N, ...) in the form of ``output``, of any images.

    Raises:
        TrainingError: scores without their sigmoid, or boxes that are shares of the image.
    """
    rows = raw.transpose(0, 2, 1) if output.form == YOLOV8 else raw
    scores, largest = rows[..., BOX:], float(np.abs(rows[..., :BOX]).max())
    low, high = float(scores.min()), float(scores.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise TrainingError(
            "the scores of the detector are no shares",
            value=f"{low:.3g} to {high:.3g}",
            remedy=f"export it with the sigmoid behind its scores, or {_REMEDY}",
        )
    if not largest > _PIXELS_LEAST:
        raise TrainingError(
            "the boxes of the detector are no pixels",
            value=f"numbers up to {largest:.3g}",
            remedy=f"export it with its boxes decoded to pixels, or {_REMEDY}",
        )


def canonical(
    raw: np.ndarray, output: Output, image_size: tuple[int, int], chosen: Sequence[int]
) -> np.ndarray:
    """A detector's raw output as its tail gives it, float32 (N, anchors, 4 + classes).

    Args:
        raw: float32 (N, ...) in the form of ``output``.
        image_size: Height and width.
        chosen: Class of the network for each class of the tail.
    """
    rows = raw.transpose(0, 2, 1) if output.form == YOLOV8 else raw
    boxes, scores = rows[..., :BOX] / _sides(image_size), rows[..., -output.classes :]
    if output.form == YOLOV5:
        scores = scores * rows[..., BOX : BOX + 1]
    return np.concatenate([boxes, scores[..., list(chosen)]], -1).astype(np.float32)


def canonical_tail(
    tail: keras.Model, output: Output, image_size: tuple[int, int], chosen: Sequence[int]
) -> keras.Model:
    """The tail with its output in that form; what only decodes boxes is no longer trained.

    Raises:
        TrainingError: the converter gave the output other axes.
    """
    rows = tail.outputs[0]
    values = output.classes + BOX + (output.form == YOLOV5)
    if tuple(rows.shape[1:]) == (values, output.anchors) and output.form == YOLOV8:
        rows = layers.Permute((2, 1))(rows)
    if tuple(rows.shape[1:]) != (output.anchors, values):
        raise TrainingError(
            "the converted network gives an output of another shape", value=tuple(tail.output_shape[1:])
        )
    share = Scale((BOX,), name="share_of_image")
    boxes, scores = share(_values(rows, 0, BOX)), _values(rows, values - output.classes, values)
    if output.form == YOLOV5:
        scores = layers.Multiply()([scores, _values(rows, BOX, BOX + 1)])
    if list(chosen) != list(range(output.classes)):
        scores = Select(chosen, name="classes")(scores)
    model = keras.Model(tail.inputs[0], layers.Concatenate(name=BOXES)([boxes, scores]), name=tail.name)
    share.set_weights([1 / _sides(image_size)])
    for layer in model.layers:
        if isinstance(layer, Scale) or _counts_bins(layer):
            layer.trainable = False
    return model


def _values(rows: Any, start: int, stop: int) -> Any:
    return Part([(None, None, None), (start, stop, None)])(rows)


def _sides(image_size: tuple[int, int]) -> np.ndarray:
    height, width = image_size
    return np.array([width, height, width, height], np.float32)


def _counts_bins(layer: Any) -> bool:
    """The convolution with 0, 1, 2, ... that makes a distance of a distribution (Li et al. 2020,
    arXiv 2006.04388)."""
    if not isinstance(layer, layers.Conv2D) or layer.filters != 1:
        return False
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    return kernel.shape[:2] == (1, 1) and np.array_equal(kernel.ravel(), np.arange(kernel.size))


def names_in(model: Any) -> tuple[str, ...]:
    """Class names that an exporter left in an ONNX file (metadata ``names``, a Python literal); () if none.

    Raises:
        TrainingError: they are there and cannot be read.
    """
    text = next((entry.value for entry in model.metadata_props if entry.key == "names"), "")
    if not text:
        return ()
    try:
        if len(text) > NAMES_MAX_BYTES:
            raise ValueError("too long")
        found = ast.literal_eval(text)
        if not isinstance(found, (dict, list, tuple)):
            raise TypeError("neither a dictionary nor a list")
        entries = [found[i] for i in range(len(found))]
        return tuple(str(name) for name in entries)
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise TrainingError(
            "the class names in the ONNX file cannot be read", value=text[:100], remedy="--class-names FILE"
        ) from error


def choose(network: Sequence[str], data: Sequence[str]) -> tuple[int, ...]:
    """Class of the network for each class of a data set, by name; what only the network has is left out.

    Raises:
        TrainingError: the data set has a class that the network has not.
    """
    missing = [name for name in data if name not in network]
    if missing:
        raise TrainingError(
            "the data set has classes that the network does not find",
            value=", ".join(missing[:5]),
            remedy=f"its classes are {', '.join(network[:8])}{' ...' if len(network) > 8 else ''}; "
            "rename them in the data set, or --class-names FILE",
        )
    return tuple(network.index(name) for name in data)
