"""From a contract's task to the output that stands for it: the one place that tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

from semflash.outputs.image import Image
from semflash.outputs.kinds import AnchorTask, ClassificationTask, DetectionTask, ImageTask, Task
from semflash.outputs.labels import Labels
from semflash.outputs.objects import Anchors, Boxes
from semflash.outputs.output import Output


def output_of(task: Task, class_names: Sequence[str]) -> Output:
    """The output of a bundle, of its contract's task and class names."""
    match task:
        case ClassificationTask():
            return Labels(class_names)
        case DetectionTask():
            return Boxes(class_names, task)
        case AnchorTask():
            return Anchors(class_names, task)
        case ImageTask():
            return Image(class_names, task)
