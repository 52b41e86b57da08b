"""Which kind of task a network is for: a tail says it by the name of its output layer, a bundle by its task.

| output layer | kind |
| --- | --- |
| ``maps`` | :class:`Detection`, made by :func:`semflash.tasks.detector.build_detector_tail` |
| ``boxes`` | :class:`AnchorDetection`, made by the import of a detector |
| any other | :class:`Classification` |
"""

from __future__ import annotations

import keras

from semflash.errors import TrainingError
from semflash.outputs.kinds import AnchorTask, ClassificationTask, DetectionTask, ImageTask, Task
from semflash.tasks.anchor_detector import AnchorDetection
from semflash.tasks.detector import Detection
from semflash.tasks.kinds import Classification, TaskKind
from semflash.tasks.names import BOXES, MAPS


def kind_of(tail: keras.Model, image_shape: tuple[int, ...]) -> TaskKind:
    """The kind of task that a tail is for.

    Args:
        tail: The task tail; the name of its output layer says the kind, its shape the sizes.
        image_shape: (H, W, C) of the task's images.

    Raises:
        TrainingError: The output has not the shape that its name stands for.
    """
    match tail.layers[-1].name:
        case name if name == BOXES:
            return AnchorDetection.of_boxes(tail.output_shape[1:], image_shape)
        case name if name == MAPS:
            return Detection.of_maps(tail.output_shape[1:], image_shape)
        case _:
            return Classification()


def kind_of_task(task: Task, classes: int) -> TaskKind:
    """The kind of task that a bundle's contract describes.

    Raises:
        TrainingError: No task network is behind it.
    """
    match task:
        case ClassificationTask():
            return Classification()
        case DetectionTask():
            return Detection(task.height, task.width, task.stride, classes)
        case AnchorTask():
            return AnchorDetection(task.anchors, classes, task.height, task.width)
        case ImageTask():
            raise TrainingError("pictures are judged against the image, by no task network")
