"""How well scores of patches find the object. Masks serve these figures alone: nothing is trained on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A patch belongs to the object from this share of it on.
TOUCHED = 0.05

Scores = NDArray[np.floating]


def on_object(cover: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Patches that the object touches, (N, patches), of the cover (N, rows, columns), 0..255."""
    return cover.reshape(len(cover), -1) > TOUCHED * 255


def pointing_game(scores: Scores, touched: NDArray[np.bool_]) -> float:
    """Share of images whose best patch is the object's (Zhang et al. 2016, arXiv 1608.00507)."""
    return float(touched[np.arange(len(scores)), scores.argmax(axis=1)].mean())


def auc(scores: Scores, touched: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of telling the object's patches from the others, mean over the images; equal
    scores count half."""
    found = []
    for each, mask in zip(scores, touched, strict=True):
        inside, outside = each[mask][:, None], each[~mask][None]
        found.append((inside > outside).mean() + 0.5 * (inside == outside).mean())
    return float(np.mean(found))


def recall(scores: Scores, touched: NDArray[np.bool_]) -> float:
    """Share of the object's patches among as many best patches as it has."""
    order = np.argsort(-scores, axis=1, kind="stable")
    counts = touched.sum(axis=1)
    found = [mask[best[:k]].mean() for mask, best, k in zip(touched, order, counts, strict=True)]
    return float(np.mean(found))


def mass(shares: Scores, touched: NDArray[np.bool_]) -> float:
    """Share of the attention that lies on the object; `shares` sum to 1."""
    return float((shares * touched).sum(axis=1).mean())


def figures(scores: Scores, touched: NDArray[np.bool_]) -> dict[str, float]:
    """Pointing game, AUC and recall of scores (N, patches)."""
    return {
        "pointing": pointing_game(scores, touched),
        "auc": auc(scores, touched),
        "recall": recall(scores, touched),
    }
