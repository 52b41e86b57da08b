"""A report on objects: average precision by class, and scenes with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.boxes import CLASS, IGNORED, present
from semflash.outputs.objects import SHOWN_SCORE, ObjectsReading, shown
from semflash.report import pictures
from semflash.report.answers.features import examples
from semflash.report.answers.material import EXAMPLES, Material
from semflash.report.importance import Importance
from semflash.report.page import Chart, Section, Table
from semflash.report.scene_grid import Scene
from semflash.report.view import BundleView, Details, Example


@dataclass(frozen=True)
class ObjectDetails(Details):
    """Average precision of a detector by class.

    Attributes:
        objects: How many of each class there are.
        by_level: Level -> average precision at IoU 0.5 of each class, 0..1; None: a class without an object.
        scenes: Images with true objects, and those found over the clean and the damaged channel.
    """

    objects: list[int]
    by_level: dict[float, list[float | None]]
    scenes: Sequence[Scene] = ()

    def sections(self, views: Sequence[BundleView]) -> list[Section]:
        """Average precision by class, and scenes."""
        return [_precision(views), _scenes(views)]

    def as_json(self, view: BundleView) -> dict[str, Any]:
        """Objects and precision by class."""
        return {
            "class_names": view.bundle.contract.class_names,
            "class_objects": self.objects,
            "class_precision": {f"{level:g}": values for level, values in self.by_level.items()},
        }


def _precision(views: Sequence[BundleView]) -> Section:
    """Average precision by class."""
    charts, tables = [], []
    for view in views:
        if not isinstance(view.details, ObjectDetails):
            continue
        name, classes, details = view.bundle.name, view.bundle.contract.class_names, view.details
        levels, most = list(details.by_level), pictures.SHOWN_CLASSES
        which = "each class" if len(classes) <= most else f"the {most} classes with most objects"
        groups = {view.quality.text(level): values for level, values in details.by_level.items()}
        charts.append(
            Chart(
                f"precision-{name}",
                f"{name}: average precision (IoU 0.5) of {which}.",
                f"Bars of average precision by class of {name}; the table has the numbers.",
                partial(pictures.precision, view.bundle, details.objects, groups),
            )
        )
        rows = [
            [classes[index], f"{n:,}", *(view.words.number(details.by_level[at][index]) for at in levels)]
            for index, n in enumerate(details.objects)
        ]
        rows.append(["all: mAP@0.5", f"{sum(details.objects):,}", *(view.number(level) for level in levels)])
        head = ["class", "objects", *map(view.quality.text, levels)]
        tables.append(Table(f"{name}: average precision (IoU 0.5) by class, in percent", head, rows))
    return Section("precision", "Classes", "Average precision by class", charts=charts, tables=tables)


def _scenes(views: Sequence[BundleView]) -> Section:
    """Scenes with true and found boxes."""
    charts = []
    for view in views:
        if not isinstance(view.details, ObjectDetails) or not view.details.scenes:
            continue
        name, quality = view.bundle.name, view.quality
        levels = quality.text(quality.main[0]), quality.number(quality.damaged)
        columns = ["true", f"found, {levels[0]}", f"found, {quality.text(quality.damaged)}"]
        charts.append(
            Chart(
                f"scenes-{name}",
                f"{name}: true objects, and those found at {levels[0]} and {levels[1]} with "
                f"their scores ({SHOWN_SCORE:g} or more); true boxes are dotted there.",
                f"Scenes of {name}: " + "; ".join(one.story for one in view.examples),
                partial(pictures.scenes, view.details.scenes, columns, view.bundle),
                wide=True,
            )
        )
    return Section("scenes", "Scenes", "Scenes and the objects found in them", charts=charts)


def measured(material: Material) -> tuple[ObjectDetails, list[Example], Importance | None]:
    """Details, and the first scenes with objects. ToolMissingError: no pycocotools."""
    from semflash.outputs.average_precision import class_precisions

    labels, answers = material.labels, material.evaluation.predictions
    classes = len(material.bundle.contract.class_names)
    counted = labels[present(labels) & (labels[..., IGNORED] != 1)]
    objects = np.bincount(counted[:, CLASS].astype(np.int64), minlength=classes)
    by_level = {
        level: class_precisions(labels, answers[level], classes)
        for level in material.bundle.quality.main
        if level in answers
    }
    if not material.pictures:
        return ObjectDetails(objects.tolist(), by_level), [], None
    which = chosen(labels)
    shown_ones, maps, readings = examples(material, which, lambda index, _: f"scene {index}", "found")
    scenes = [
        Scene(one.name, one.image, boxes[present(boxes)], [_objects(reading) for reading in pair])
        for one, boxes, pair in zip(shown_ones, labels[which[: len(shown_ones)]], readings, strict=True)
    ]
    return ObjectDetails(objects.tolist(), by_level, scenes), shown_ones, maps


def _objects(reading: Any) -> NDArray[np.float32]:
    assert isinstance(reading, ObjectsReading)  # what Objects.read made
    return shown(reading.objects)


def chosen(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Which images are shown: the first scenes with objects, then those without."""
    empty = ~(present(labels) & (labels[..., IGNORED] != 1)).any(1)
    return np.sort(np.argsort(empty, kind="stable")[:EXAMPLES])
