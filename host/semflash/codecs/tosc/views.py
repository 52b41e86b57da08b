"""Views of training images with their targets: a teacher's stored ones, or drawn ones where there is none.

A view is the image shifted, mirrored and coloured, and in part mixed with another image
(:mod:`semflash.data.views`). Both kinds are made by the same functions of the number of image and view, so
that a run with a teacher and one without see images of the same kind.
"""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import Any

import numpy as np

from semflash.codecs.own_training import Bench
from semflash.data.augment import Augmentation
from semflash.data.drawn_views import DrawnViews
from semflash.tasks.detector import Detection

#: Views of an image among which one is looked for that is mixed with an image of the part that is learnt
#: from.
TRIES = 8


def on_top(how: Augmentation) -> Augmentation:
    """What is done to a view, which is shifted, mirrored, coloured and mixed already: rectangles."""
    return replace(how, flip=0.0, shift_px=0, gain=0.0, mix=0.0)


class ViewsOf(abc.ABC):
    """Views of the training images of a run.

    Attributes:
        count: Views of each image.
    """

    def __init__(self, bench: Bench) -> None:
        self.train, self.all = bench.train, bench.data.train
        drawn = DrawnViews(bench.recipe.augmentation, bench.recipe.seed, len(bench.train))
        self.source: Any = drawn if bench.answers is None else bench.answers
        self.count = int(self.source.views)
        self.bench = bench

    def choose(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A view of each image, int64 (n,): the first of a few drawn ones whose other image is among those
        that are learnt from, else the image itself."""
        tries = rng.integers(0, self.count, (TRIES, len(indices)))
        if len(self.train) == len(self.all):
            return np.asarray(tries[0])
        partners, _ = self.source.mixture(np.tile(indices, TRIES), tries.ravel())
        fits = partners.reshape(tries.shape) < len(self.train)
        first = np.take_along_axis(tries, fits.argmax(axis=0)[None], axis=0)[0]
        return np.where(fits.any(axis=0), first, 0)

    def within(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The same views, int64 (n,), but the image itself where what is mixed in is not learnt from."""
        partners, _ = self.source.mixture(indices, views)
        return np.where(partners < len(self.train), views, 0)

    @abc.abstractmethod
    def of(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 (n, H, W, C) and targets."""

    @abc.abstractmethod
    def targets(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """What the loss takes of the views' labels, float32 (n, ...)."""


class LabelViews(ViewsOf):
    """Of images with one label each."""

    def of(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mixtures among them; targets float32 (n, classes)."""
        images, (partners, _) = self.all.images, self.source.mixture(indices, views)
        made = self.source.view_images(images[indices], indices, views, images[partners])
        return made, self.targets(indices, views)

    def targets(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The share of each class in a view, float32 (n, classes)."""
        partners, shares = self.source.mixture(indices, views)
        one = np.eye(self.bench.codec.sizes.classes, dtype=np.float32)
        own, other = one[self.all.labels[indices]], one[self.all.labels[partners]]
        return np.asarray(shares[:, None] * own + (1 - shares[:, None]) * other, np.float32)


class BoxViews(ViewsOf):
    """Of images with boxes, which move with their image; none is mixed."""

    def of(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Targets float32 (n, h, w, classes + 5), :func:`semflash.tasks.detector.target_maps`."""
        made = self.source.view_images(self.all.images[indices], indices, views)
        return made, self.targets(indices, views)

    def targets(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Maps of the moved boxes."""
        sizes, moved = self.bench.codec.sizes, self.source.moves(indices, views)
        kind = Detection.of_maps(sizes.output_shape, sizes.image_shape)
        return kind.targets(self.all.labels[indices], moved, sizes.image_shape[:2])
