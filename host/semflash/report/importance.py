"""What matters in decoded features: by integrated gradients where they can be had, else by occlusion.

A bundle holds the networks of the edge as .tflite. Its task tail is read back as Keras layers, compared with
LiteRT on the very features, and its loss is attributed to them as in training
(:mod:`semflash.training.importance`).
Keras is imported here and only here, when a report is made.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.edge.decoder import BATCH_VALUES, EdgeDecoder
from semflash.errors import ModelError, TrainingError

#: Steps of the integral; 2 = the paper (arXiv 2511.11038).
STEPS = 2
#: Largest difference between the tail by LiteRT and as Keras layers, relative to its largest output.
TOLERANCE = 1e-3
_NO_LAYERS = (ModelError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, struct.error)
_POSITIONS = 16  # most steps of the occlusion along one side


@dataclass(frozen=True)
class Importance:
    """Importance maps of some images.

    Attributes:
        maps: one float32 (h', w') an image. Gradients: mean 1. Occlusion: drop of the log-probability.
        steps: of the integrated gradients; None: made by occlusion.
        reason: why there are no gradients; empty: there are.
    """

    maps: Sequence[NDArray[np.float32]]
    steps: int | None
    reason: str = ""

    @property
    def method(self) -> str:
        """Its name."""
        return "occlusion" if self.steps is None else "integrated gradients"

    @property
    def text(self) -> str:
        """Method and steps in a sentence's part."""
        if self.steps is None:
            return (
                "by occlusion, how far the answer's log-probability drops when a place of the features is "
                f"put out (no integrated gradients: {self.reason})"
            )
        return (
            f"by integrated gradients of the task's loss, {self.steps} steps from zero, mean absolute value "
            "over channels"
        )


def importance(
    bundle: Bundle, decoder: EdgeDecoder, features: NDArray[np.float32], labels: NDArray[Any]
) -> Importance:
    """Importance of every place of decoded features for the task.

    Args:
        features: float32 (N, h, w, c), or vectors (N, c), whose entries are the places.
        labels: the truth: classes (N,), or boxes (N, M, 6).
    """
    try:
        return Importance(gradient_maps(bundle, decoder, features, labels), STEPS)
    except ImportError as error:
        reason = f"{error.name or 'Keras'} is not installed"
    except TrainingError as error:
        reason = str(error).splitlines()[0]
    return Importance([occlusion(decoder, row, bundle) for row in features], None, reason)


def gradient_maps(
    bundle: Bundle,
    decoder: EdgeDecoder,
    features: NDArray[np.float32],
    labels: NDArray[Any],
    steps: int = STEPS,
) -> list[NDArray[np.float32]]:
    """Integrated gradients of the task's loss with the true labels, from features of zero.

    Args: as :func:`importance`. steps: of the integral.

    Returns:
        mean absolute attribution over the channels, scaled to mean 1, float32 (h, w), one an image.

    Raises:
        TrainingError: the tail has operators without Keras layers, or is another function as Keras layers;
            the backend has no gradients, or the task no loss of labels. ImportError: Keras or its backend is
            not installed.
    """
    from semflash.data.augment import Moves
    from semflash.tasks.registry import kind_of_task
    from semflash.training.importance import IntegratedGradients, normalised

    kind = kind_of_task(bundle.contract.task, len(bundle.contract.class_names))
    if kind.only_distils:
        raise TrainingError("an imported detector has no loss of labels")
    tail = _as_layers(bundle, decoder, features)
    height, width, _ = bundle.image_shape
    targets = kind.targets(labels, Moves.none(len(labels)), (height, width))
    attributions = IntegratedGradients(tail, steps, kind)(features, targets)
    return list(normalised(np.stack([as_map(row) for row in attributions]), "pixel"))


def _as_layers(bundle: Bundle, decoder: EdgeDecoder, features: NDArray[np.float32]) -> Any:
    """The task tail as a Keras model that gives what LiteRT gives."""
    from keras import ops

    from semflash.importing.tflite.layers import keras_model

    try:
        tail = keras_model(list(bundle.edge.values())[-1], "tail", "features")
    except _NO_LAYERS as error:  # of Keras: layers that do not fit each other; of the reader: a damaged file
        raise TrainingError("the task tail does not fit into Keras layers", value=error) from error
    expected = decoder.classify(features)
    found = ops.convert_to_numpy(tail(features, training=False))
    if found.shape != expected.shape:
        raise TrainingError("the task tail as Keras layers has another output", value=found.shape)
    apart = float(np.abs(found - expected).max(initial=0.0))
    if not apart <= TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0))):
        raise TrainingError("the task tail as Keras layers gives other values than LiteRT", value=apart)
    return tail


def occlusion(decoder: EdgeDecoder, features: NDArray[np.float32], bundle: Bundle) -> NDArray[np.float32]:
    """How much each place of the features matters to the answer, by occlusion (Zeiler and Fergus 2014).

    Args:
        features: float32 (h, w, c), or a vector (c,), whose entries are the places.

    Returns:
        drop of the answer's log-probability when the place is 0 in all channels, float32 (h', w'); places are
        single ones, or squares where there are more than 16 along a side. Of a detector: summed over the
        cells or anchors that say an object is there.
    """
    places = as_map(features)
    height, width = places.shape[:2]
    step = max(1, math.ceil(max(height, width) / _POSITIONS))
    rows, columns = range(0, height, step), range(0, width, step)
    corners = [(y, x) for y in rows for x in columns]
    outputs = decoder.classify(features[None])
    (whole,) = _log_scores(outputs, bundle)
    answer = bundle.output.answered(whole)
    drop = np.empty(len(corners), np.float32)
    most = max(1, BATCH_VALUES // max(outputs.size, features.size))
    for start in range(0, len(corners), most):
        part = corners[start : start + most]
        hidden = np.repeat(places[None], len(part), axis=0)
        for index, (y, x) in enumerate(part):
            hidden[index, y : y + step, x : x + step] = 0.0
        scores = _log_scores(decoder.classify(hidden.reshape(-1, *features.shape)), bundle)
        drop[start : start + most] = (whole - scores)[:, answer].sum(1)
    return drop.reshape(len(rows), len(columns))


def _log_scores(outputs: NDArray[np.float32], bundle: Bundle) -> NDArray[np.float32]:
    """Log-probabilities (N, entries) of classes, or of objects at every cell or anchor and class."""
    scores = bundle.output.log_scores(outputs)
    if scores is None:
        raise TrainingError(f"what a bundle that {bundle.output.verb} answers has no scores")
    return scores


def as_map(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (h, w, c) as they are; a vector (c,) as one row of c places, (1, c, 1)."""
    return features if features.ndim == 3 else features.reshape(1, -1, 1)
