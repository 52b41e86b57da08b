"""Objects out of the boxes of a YOLO-like detector: threshold, then non-maximum suppression per class.

A tail gives a box for each anchor: x and y of its centre, width and height as shares of the image's, then a
score 0..1 per class (where the network has an objectness, it is multiplied in already). One box may be an
object of several classes. The best box of a class suppresses those of the same class that overlap it more
than ``overlap_max``; greedy, as in Felzenszwalb et al. 2010 (doi 10.1109/TPAMI.2009.167), section 7.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.kinds import BOX, AnchorTask

FIELDS = 6


def decode_anchors(outputs: NDArray[np.float32], task: AnchorTask) -> list[NDArray[np.float32]]:
    """Objects of every image, the most certain first.

    Args:
        outputs: float32 (N, anchors, 4 + classes); a row with a number that is not finite is no object.
        task: of the bundle.

    Returns:
        per image float32 (n, 6): left, top, right, bottom (pixels, cut at the border), class, score 0..1.
    """
    return [_objects(boxes, task) for boxes in outputs]


def _objects(outputs: NDArray[np.float32], task: AnchorTask) -> NDArray[np.float32]:
    given = np.where(np.isfinite(outputs).all(1, keepdims=True), outputs, -1).astype(np.float64)
    anchors, labels = np.nonzero(given[:, BOX:] >= task.score_min)
    scores = np.minimum(given[anchors, BOX + labels], 1.0)
    order = np.argsort(-scores, kind="stable")[: task.candidates_max]
    boxes = _corners(given[anchors[order], :BOX], task)
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, labels, scores = boxes[there], labels[order][there], scores[order][there]
    kept = np.zeros(len(boxes), np.bool_)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        kept[mine[_unsuppressed(boxes[mine], task.overlap_max)]] = True
    found = np.concatenate([boxes, labels[:, None], scores[:, None]], 1)[kept]
    return found[: task.objects_max].astype(np.float32)


def _corners(boxes: NDArray[np.float64], task: AnchorTask) -> NDArray[np.float64]:
    """Left, top, right, bottom in pixels, cut at the border."""
    size = np.array([task.width, task.height], np.float64)
    low, high = (np.clip((boxes[:, :2] + by * boxes[:, 2:]) * size, 0, size) for by in (-0.5, 0.5))
    return np.concatenate([low, high], 1)


def _unsuppressed(boxes: NDArray[np.float64], overlap_max: float) -> list[int]:
    """Indices of the boxes (n, 4), best first, that no better kept one overlaps too much."""
    kept, left = [], np.arange(len(boxes))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        high = np.minimum(boxes[left, 2:], boxes[best, 2:])
        shared = np.maximum(high - low, 0).prod(1)
        left = left[shared <= overlap_max * (areas[left] + areas[best] - shared)]
    return kept
