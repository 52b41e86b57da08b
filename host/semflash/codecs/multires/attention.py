"""What the student learns: the attention of the task network, and how alike two rankings of patches are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.multires.sizes import MultiresSizes
from semflash.tasks.attention import attention_maps

#: Rankings that are compared at a time.
BATCH = 250
#: So many best patches are compared.
BEST = 8
#: A patch belongs to the object from this share on, 0..255, in figures of pointing.
TOUCHED = 12


def smoothed(maps: NDArray[np.floating], share: float) -> NDArray[np.float32]:
    """Maps (N, rows, columns) of which a share is replaced by the mean over the 3x3 patches around, edges
    repeated; each sums to 1."""
    if share == 0:
        return np.asarray(maps, np.float32)
    rows, columns = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9
    mixed = (1 - share) * maps + share * around
    return np.asarray(mixed / mixed.sum(axis=(1, 2), keepdims=True), np.float32)


def taught(head: Any, tail: Any, images: Any, sizes: MultiresSizes) -> NDArray[np.float32]:
    """What the student learns of images, as the sizes say: float32 (N, rows, columns), each summing to 1."""
    maps = attention_maps(head, tail, images, rollout=sizes.rollout, mirrored=sizes.mirrored)
    return smoothed(maps, sizes.smoothing)


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank correlation of each row of two arrays (N, patches), ties at their mean rank: float (N,)."""
    left, right = (_ranks(each) - (each.shape[1] - 1) / 2 for each in (first, second))
    norm = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.asarray((left * right).sum(axis=1) / np.maximum(norm, 1e-12))


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of each value in its row, from 0; equal ones share their mean rank."""
    found = []
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        below = (part[:, None, :] < part[:, :, None]).sum(axis=2)
        equal = (part[:, None, :] == part[:, :, None]).sum(axis=2)
        found.append(below + (equal - 1) / 2)
    return np.concatenate(found)


def best_in_common(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the 8 best patches of each row that two rankings (N, patches) have in common: float (N,)."""
    tops = [np.argsort(-each, axis=1, kind="stable")[:, :BEST] for each in (first, second)]
    common = (tops[0][:, :, None] == tops[1][:, None, :]).any(axis=2)
    return np.asarray(common.mean(axis=1))
