"""Views of training images with their targets: a teacher's stored ones, or drawn ones where there is none.

A view is the image shifted, mirrored and coloured, and in part mixed with another image
(:mod:`semflash.data.views`). Both kinds are made by the same functions of the number of image and view, so
that a run with a teacher and one without see images of the same kind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from semflash.codecs.own_training import Bench
from semflash.data.augment import Augmentation
from semflash.data.views import VIEWS_MAX, ViewSettings, mixed_view, mixture, view

#: Views of an image among which one is looked for that is mixed with an image of the part that is learnt
#: from.
TRIES = 8


def on_top(how: Augmentation) -> Augmentation:
    """What is done to a view, which is shifted, mirrored, coloured and mixed already: rectangles."""
    return replace(how, flip=0.0, shift_px=0, gain=0.0, mix=0.0)


class DrawnViews:
    """Views without a teacher, as a store of answers gives them; all numbers of views are there.

    Args:
        how: Shift, mirror, gain and mix of the recipe.
        seed: Of the run.
        images: How many there are.
    """

    views = VIEWS_MAX

    def __init__(self, how: Augmentation, seed: int, images: int) -> None:
        self.how = ViewSettings(shift_px=how.shift_px, mirror=how.flip > 0, gain=how.gain, mix=how.mix)
        self.seed, self.images = seed, images

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which image is mixed in, and the share of the image itself."""
        found = mixture(indices, views, self.seed, self.images, self.how)
        return found.partners, found.shares

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """The views."""
        if others is None:
            return view(images, indices, views, self.seed, self.how)
        mixed = mixture(indices, views, self.seed, self.images, self.how)
        return mixed_view(images, others, indices, views, self.seed, mixed, self.how)


class ViewsOf:
    """Views of the training images of a run.

    Attributes:
        count: Views of each image.
    """

    def __init__(self, bench: Bench) -> None:
        self.train, self.all = bench.train, bench.data.train
        drawn = DrawnViews(bench.recipe.augmentation, bench.recipe.seed, len(bench.train))
        self.source: Any = drawn if bench.answers is None else bench.answers
        self.count = int(self.source.views)
        self.classes = bench.codec.sizes.classes

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

    def of(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 (n, H, W, C) and targets float32 (n, classes)."""
        images, (partners, _) = self.all.images, self.source.mixture(indices, views)
        made = self.source.view_images(images[indices], indices, views, images[partners])
        return made, self.targets(indices, views)

    def targets(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The share of each class in a view, float32 (n, classes)."""
        partners, shares = self.source.mixture(indices, views)
        one = np.eye(self.classes, dtype=np.float32)
        own, other = one[self.all.labels[indices]], one[self.all.labels[partners]]
        return np.asarray(shares[:, None] * own + (1 - shares[:, None]) * other, np.float32)
