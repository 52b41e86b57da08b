"""Views of training images that no store of answers decides: drawn by a recipe's augmentation."""

from __future__ import annotations

import numpy as np

from semflash.data.augment import Augmentation, Moves
from semflash.data.views import VIEWS_MAX, ViewSettings, mixed_view, mixture, moves, view


class DrawnViews:
    """Views as a store of answers gives them, but of all numbers that views have.

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

    def moves(self, indices: np.ndarray, views: np.ndarray) -> Moves:
        """How each view was moved."""
        return moves(indices, views, self.seed, self.how)
