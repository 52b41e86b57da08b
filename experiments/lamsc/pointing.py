"""How well importance of pixels finds the target. Exact masks serve these figures alone.

Scores are float (n, H, W), masks bool (n, H, W) with the target inside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Masks = NDArray[np.bool_]


def pixel_auc(scores: Scores, masks: Masks) -> NDArray[np.float64]:
    """Area under the ROC curve of telling the target's pixels from the others, of each image (n,); equal
    scores count half. NaN where the target is nowhere or everywhere."""
    found = np.full(len(scores), np.nan)
    for index, (one, mask) in enumerate(zip(scores, masks, strict=True)):
        values, places = np.unique(one, return_inverse=True)
        inside = np.bincount(places.reshape(-1), mask.reshape(-1), len(values))
        outside = np.bincount(places.reshape(-1), ~mask.reshape(-1), len(values))
        if inside.sum() and outside.sum():
            below = np.cumsum(outside) - outside
            found[index] = (inside * (below + outside / 2)).sum() / (inside.sum() * outside.sum())
    return found


def points(scores: Scores, masks: Masks) -> NDArray[np.bool_]:
    """Whether the most important place lies on the target, of each image (n,): of all pixels with the largest
    score the one that is nearest to their middle."""
    found = np.zeros(len(scores), bool)
    for index, (one, mask) in enumerate(zip(scores, masks, strict=True)):
        y, x = np.nonzero(one == one.max())
        nearest = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
        found[index] = mask[y[nearest], x[nearest]]
    return found


def shares_of(maps: NDArray[np.uint8], masks: Masks, segments: int = 64) -> NDArray[np.float64]:
    """Share of each segment's pixels that belong to the target, (n, segments); 0 where there is none."""
    found = np.zeros((len(maps), segments))
    for index, (one, mask) in enumerate(zip(maps, masks, strict=True)):
        sizes = np.bincount(one.reshape(-1), minlength=segments)
        found[index] = np.bincount(one.reshape(-1), mask.reshape(-1), segments) / np.maximum(sizes, 1)
    return found


def reach(maps: NDArray[np.uint8], masks: Masks) -> float:
    """Mean IoU of the target with the union of the segments that lie mostly in it: what no choice of whole
    segments passes by much."""
    shares = shares_of(maps, masks)
    chosen = np.take_along_axis(shares > 0.5, maps.reshape(len(maps), -1).astype(np.int64), 1)
    chosen = chosen.reshape(maps.shape)
    both, either = (chosen & masks).sum((1, 2)), (chosen | masks).sum((1, 2))
    return float((both / np.maximum(either, 1)).mean())
