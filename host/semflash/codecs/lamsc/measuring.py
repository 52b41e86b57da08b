"""Figures of a codec in training: how well the student finds what matters, PSNR and accuracy by rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.lamsc.importance import exact_importance
from semflash.data.dataset import Split

BATCH = 250
#: Bytes that are looked at after each pass, and at the end, best first.
WATCHED, REPORTED = 159, (293, 159, 100)
#: Images that are looked at after a pass.
FEW = 500


class Measure:
    """Figures on some images with masks.

    Args:
        codec: :class:`semflash.codecs.lamsc.codec.Lamsc`.
        split: The images, labels and masks.
    """

    def __init__(self, codec: Any, split: Split) -> None:
        self.codec, self.split = codec, split

    def student(self) -> dict[str, float]:
        """How the student's importance ranks blocks: area under the curve of blocks that are mostly object
        against those that have none of it, and how often its best block has some."""
        exact = exact_importance(self.split, self.codec.sizes.grid).reshape(len(self.split), -1)
        scores = np.concatenate([self.codec.scores(part) for part in self._parts(len(self.split))])
        return {"auc": area_under_curve(scores, exact), "pointing": pointing(scores, exact)}

    def pictures(self) -> dict[str, float]:
        """After a pass of the restoring network: PSNR, dB, whole and inside the object."""
        whole, inside = self.psnr(WATCHED, FEW)
        return {f"psnr_{WATCHED}_bytes": whole, f"object_psnr_{WATCHED}_bytes": inside}

    def labels(self) -> dict[str, float]:
        """After a pass of the tail."""
        return {f"val_{WATCHED}_bytes": self.accuracy(WATCHED, FEW)}

    def psnr(self, rate: int, count: int) -> tuple[float, float]:
        """Mean PSNR, dB, of the first images at a rate in bytes: whole, and inside the object."""
        exact = exact_importance(self.split, self.codec.sizes.grid)
        found, start = [], 0
        for images in self._parts(count):
            wrong = np.square(self._pictures(images, rate) - images / np.float32(255)).mean(axis=-1)
            side = wrong.shape[1] // exact.shape[1]
            share = exact[start : start + len(images)].repeat(side, axis=1).repeat(side, axis=2)
            inside = (wrong * share).sum(axis=(1, 2)) / np.maximum(share.sum(axis=(1, 2)), 1e-6)
            found.append(np.stack([wrong.mean(axis=(1, 2)), inside]))
            start += len(images)
        decibels = -10 * np.log10(np.maximum(np.concatenate(found, axis=1), 1e-7))
        whole, inside = decibels.mean(axis=1).tolist()
        return whole, inside

    def accuracy(self, rate: int, count: int) -> float:
        """Share of right labels of the first pictures at a rate in bytes."""
        right, start = [], 0
        for images in self._parts(count):
            logits = self.codec.classifier(self._pictures(images, rate), training=False)
            labels = self.split.labels[start : start + len(images)]
            right.append(ops.convert_to_numpy(logits).argmax(axis=1) == labels)
            start += len(images)
        return float(np.concatenate(right).mean())

    def results(self) -> dict[str, Any]:
        """``val_accuracy`` by rate in bytes, the highest first; PSNR; the student."""
        count = len(self.split)
        decibels = {str(rate): self.psnr(rate, count) for rate in REPORTED}
        return {
            "val_accuracy": {str(rate): self.accuracy(rate, count) for rate in REPORTED},
            "psnr": {rate: each[0] for rate, each in decibels.items()},
            "object_psnr": {rate: each[1] for rate, each in decibels.items()},
            **self.student(),
        }

    def _pictures(self, images: np.ndarray, rate: int) -> np.ndarray:
        found: np.ndarray = self.codec.pictures(images, self.codec.levels_for(images, rate))
        return found

    def _parts(self, count: int) -> list[np.ndarray]:
        images = self.split.images[:count]
        return [np.asarray(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]


def area_under_curve(scores: np.ndarray, shares: np.ndarray) -> float:
    """How often a block that is mostly object has a higher score than one without any of it, equal scores
    counting half; mean over images that have both. Arrays (N, blocks)."""
    found = []
    for one, share in zip(scores, shares, strict=True):
        inside, outside = one[share > 0.5], one[share == 0]
        if len(inside) and len(outside):
            higher = (inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2
            found.append(higher)
    return float(np.mean(found)) if found else float("nan")


def pointing(scores: np.ndarray, shares: np.ndarray) -> float:
    """Share of images whose best block is at least 0.3 object. Arrays (N, blocks)."""
    best = scores.argmax(axis=1)
    return float((shares[np.arange(len(shares)), best] > 0.3).mean())
