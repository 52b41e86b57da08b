"""A teacher's answers without a teacher: seeded logits whose labels stand out, views that only shift."""

from __future__ import annotations

from typing import Any

import numpy as np


class MadeAnswers:
    """As a teacher store answers.

    Args:
        labels: int (N,) of the training images.
        classes: of an answer.
    """

    def __init__(self, labels: np.ndarray, classes: int = 10, views: int = 3) -> None:
        self.views, self.answer_shape = views, (classes,)
        rng = np.random.default_rng(0)
        self.table = rng.normal(0, 1, (views, len(labels), classes)).astype(np.float32)
        self.table[:, np.arange(len(labels)), labels % classes] += 4.0
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []

    def record(self) -> dict[str, Any]:
        """Name and digest."""
        return {"name": "made", "digest": "0" * 64}

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Float32 (n, classes)."""
        self.asked.append((indices, views))
        return self.table[views, indices]

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last view is a quarter of the image before."""
        mixed = views == self.views - 1
        return np.where(mixed, np.maximum(indices - 1, 0), indices), np.where(mixed, 0.75, 1.0).astype("f4")

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """View a is shifted to the right by a pixels; what is mixed in is not."""
        shifted = np.stack([np.roll(image, view, axis=1) for image, view in zip(images, views, strict=True)])
        if others is None:
            return shifted
        shares = self.mixture(indices, views)[1][:, None, None, None]
        return np.round(shares * shifted + (1 - shares) * others).astype(np.uint8)
