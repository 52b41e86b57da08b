"""Objects out of the maps of a one-stage detector: CenterNet (Zhou et al. 2019, arXiv 1904.07850), section 4.

A cell of the maps holds ``classes`` logits of "the centre of an object of this class lies here", then the
logarithm of its width and height in cells, then where in the cell the centre lies, 0..1 to the right and
downwards. A peak of the scores within ``peak_window`` cells of its own class is an object; there is no other
suppression.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.kinds import DetectionTask

#: Values of a cell beside the class logits: log width, log height, x and y of the centre.
GEOMETRY = 4
FIELDS = 6
#: exp() of more than this is larger than any image.
_LOG_SIDE_MAX = 8.0


def decode_maps(maps: NDArray[np.float32], task: DetectionTask, classes: int) -> list[NDArray[np.float32]]:
    """Objects of every image, the most certain first.

    Args:
        maps: float32 (N, height, width, classes + 4).
        task: of the bundle. classes: how many.

    Returns:
        per image float32 (n, 6): left, top, right, bottom (pixels, cut at the border), class, score 0..1.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(maps[..., :classes].astype(np.float64), -60, 60)))
    peaks = (scores >= _window_max(scores, task.peak_window)) & (scores >= task.score_min)
    return [
        _objects(score, peak, geometry, task)
        for score, peak, geometry in zip(scores, peaks, maps[..., classes:], strict=True)
    ]


def _objects(
    scores: NDArray[np.float64], peaks: NDArray[np.bool_], geometry: NDArray[np.float32], task: DetectionTask
) -> NDArray[np.float32]:
    rows, columns, labels = np.nonzero(peaks)
    found = scores[rows, columns, labels]
    order = np.argsort(-found, kind="stable")[: task.objects_max]
    rows, columns, labels, found = rows[order], columns[order], labels[order], found[order]
    values = geometry[rows, columns].astype(np.float64)
    sides = np.exp(np.clip(values[:, :2], -_LOG_SIDE_MAX, _LOG_SIDE_MAX))
    centres = np.stack([columns, rows], 1) + values[:, 2:]
    most = np.array([task.width, task.height], np.float64) * task.stride
    low = np.clip((centres - sides / 2) * task.stride, 0, most)
    high = np.clip((centres + sides / 2) * task.stride, 0, most)
    return np.concatenate([low, high, labels[:, None], found[:, None]], 1).astype(np.float32)


def _window_max(scores: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Largest value in a square window around each cell, per class; outside the maps nothing counts."""
    reach = window // 2
    padded = np.pad(scores, ((0, 0), (reach, reach), (reach, reach), (0, 0)), constant_values=-1.0)
    height, width = scores.shape[1:3]
    largest = scores
    for down in range(window):
        for right in range(window):
            largest = np.maximum(largest, padded[:, down : down + height, right : right + width])
    return largest
