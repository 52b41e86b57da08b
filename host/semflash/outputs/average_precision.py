"""Mean average precision at IoU 0.5 by pycocotools (COCO's own code)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from semflash.errors import ToolMissingError
from semflash.outputs.boxes import BOTTOM, CLASS, IGNORED, LEFT, RIGHT, TOP, area, present

IOU = 0.5
DETECTIONS_MAX = 100
RESAMPLES = 100
_INTERVAL = (2.5, 97.5)


def mean_average_precision(boxes: np.ndarray, found: Sequence[np.ndarray], classes: int) -> float:
    """mAP at IoU 0.5, 0..1, over the classes that occur.

    Args:
        boxes: the truth, float32 (N, M, 6), see :mod:`semflash.outputs.boxes`.
        found: per image float32 (n, 6): left, top, right, bottom, class, score.
        classes: how many.

    Raises:
        ToolMissingError: pycocotools is not installed.
    """
    return _mean(_matched(boxes, found, classes))


def class_precisions(boxes: np.ndarray, found: Sequence[np.ndarray], classes: int) -> list[float | None]:
    """Average precision at IoU 0.5 of each class, 0..1; None: no object of it. Their mean is the mAP.

    Args and errors: as :func:`mean_average_precision`.
    """
    precision = _precision(_matched(boxes, found, classes))
    occurring = (precision > -1).all(0)
    return [
        float(column.mean()) if there else None for column, there in zip(precision.T, occurring, strict=True)
    ]


def precision_interval(
    boxes: np.ndarray, found: Sequence[np.ndarray], classes: int, *, seed: int = 0
) -> tuple[float, float, float]:
    """(mAP, low, high): a 95 % percentile interval of 100 bootstrap samples of the images.

    Args and errors: as :func:`mean_average_precision`. seed: of the samples.
    """
    evaluation = _matched(boxes, found, classes)
    value, count = _mean(evaluation), len(boxes)
    rng, matches = np.random.default_rng(seed), evaluation.evalImgs
    samples = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, count, count)
        # pycocotools keeps one entry per class and image, images innermost
        evaluation.evalImgs = [matches[label * count + image] for label in range(classes) for image in chosen]
        samples.append(_mean(evaluation))
    low, high = np.percentile(samples, _INTERVAL)
    return value, min(value, float(low)), max(value, float(high))


def _matched(boxes: np.ndarray, found: Sequence[np.ndarray], classes: int) -> Any:
    """COCOeval after the matching of every image."""
    try:
        from pycocotools.coco import COCO  # type: ignore[import-untyped]
        from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]
    except ImportError as error:
        raise ToolMissingError(
            "mean average precision needs pycocotools", remedy="pip install 'semflash[detect]'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        truth, results = COCO(), COCO()
        for coco, annotations in ((truth, _truth(boxes)), (results, _results(found))):
            coco.dataset = {
                "images": [{"id": index} for index in range(len(boxes))],
                "categories": [{"id": label} for label in range(classes)],
                "annotations": annotations,
            }
            coco.createIndex()
        evaluation = COCOeval(truth, results, "bbox")
        parameters = evaluation.params
        parameters.iouThrs = np.array([IOU])
        parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
        parameters.maxDets = [DETECTIONS_MAX]
        evaluation.evaluate()
    return evaluation


def _mean(evaluation: Any) -> float:
    """Mean over recall levels and classes; classes without an object do not count."""
    precision = _precision(evaluation)
    occurring = precision[:, (precision > -1).all(0)]
    return float(occurring.mean()) if occurring.size else 0.0


def _precision(evaluation: Any) -> Any:
    """Precision (recall levels, classes); -1 for a class without an object."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return evaluation.eval["precision"][0, :, :, 0, 0]


def _truth(boxes: np.ndarray) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = []
    areas = area(boxes)
    for image, row in np.argwhere(present(boxes)):
        box = boxes[image, row]
        annotations.append(
            _annotation(len(annotations) + 1, int(image), box)
            | {"iscrowd": int(box[IGNORED]), "area": float(areas[image, row])}
        )
    return annotations


def _results(found: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = []
    for image, rows in enumerate(found):
        for row in rows:
            one = _annotation(len(annotations) + 1, image, row) | {"score": float(row[-1])}
            annotations.append(one | {"area": one["bbox"][2] * one["bbox"][3]})
    return annotations


def _annotation(identity: int, image: int, box: np.ndarray) -> dict[str, Any]:
    left, top = float(box[LEFT]), float(box[TOP])
    sides = [float(box[RIGHT]) - left, float(box[BOTTOM]) - top]
    return {"id": identity, "image_id": image, "category_id": int(box[CLASS]), "bbox": [left, top, *sides]}
