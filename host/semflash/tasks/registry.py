"""Which kind of task a network is for."""

from __future__ import annotations

import keras

from semflash.tasks.anchor_detector import AnchorDetection
from semflash.tasks.detector import Detection
from semflash.tasks.kinds import Classification, TaskKind


def kind_of(tail: keras.Model, image_shape: tuple[int, ...]) -> TaskKind:
    """The kind of task that a tail's output stands for; ``image_shape``: (H, W, C) of the task's images."""
    if len(tail.output_shape) == 2:
        return Classification()
    if len(tail.output_shape) == 3:
        return AnchorDetection.of_boxes(tail.output_shape[1:], image_shape)
    return Detection.of_maps(tail.output_shape[1:], image_shape)
