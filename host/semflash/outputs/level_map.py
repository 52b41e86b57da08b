"""The level of each patch of an image, and how it looks over the image and by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: Colours of levels from the lowest to the highest, dark blue to yellow (a few points of viridis, which is
#: even to the eye, also in grey and to most colour-blind readers).
_COLOURS = np.array(
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], dtype=np.float64
)
#: How much of the image shows through its map.
_THROUGH = 0.55
#: Colours of a map that is no level.
_HEAT_STEPS = 32
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class LevelMap:
    """The levels of one image.

    Attributes:
        levels: uint8 (rows, columns).
        count: How many levels there are; levels are below it.
    """

    levels: NDArray[np.uint8]
    count: int

    @property
    def patches(self) -> list[int]:
        """How many patches have each level, the lowest first."""
        return [int(n) for n in np.bincount(self.levels.ravel(), minlength=self.count)]

    @property
    def words(self) -> str:
        """The same for people.

        >>> LevelMap(np.array([[0, 0], [3, 1]], np.uint8), 4).words
        '0: 2, 1: 1, 3: 1'
        """
        return ", ".join(f"{level}: {n}" for level, n in enumerate(self.patches) if n)

    @property
    def pixels(self) -> Pixels:
        """A pixel for each patch in the colour of its level, uint8 (rows, columns, 3)."""
        return colours(self.count)[self.levels]

    @property
    def text(self) -> list[str]:
        """A row of digits for each row of patches; levels above 35 are ``+``.

        >>> LevelMap(np.array([[0, 0], [3, 11]], np.uint8), 12).text
        ['00', '3b']
        """
        return ["".join(_digit(level) for level in row) for row in self.levels.tolist()]

    def over(self, image: Pixels) -> Pixels:
        """The map over its image uint8 (H, W, C), which shines through in grey; uint8 (H, W, 3)."""
        tall, wide = (side // patches for side, patches in zip(image.shape, self.levels.shape, strict=False))
        spread = self.pixels.repeat(tall, axis=0).repeat(wide, axis=1).astype(np.float64)
        grey = image.astype(np.float64).mean(axis=-1, keepdims=True)
        return np.rint(_THROUGH * grey + (1 - _THROUGH) * spread).astype(np.uint8)


def heat(shares: NDArray[np.floating], image: Pixels) -> Pixels:
    """Shares of the patches, float (rows, columns), over their image uint8 (H, W, C): the lighter the more,
    the largest at the end of the scale; uint8 (H, W, 3)."""
    top = max(float(shares.max()), 1e-12)
    steps = np.rint((_HEAT_STEPS - 1) * np.clip(shares / top, 0, 1)).astype(np.uint8)
    return LevelMap(steps, _HEAT_STEPS).over(image)


def colours(count: int) -> Pixels:
    """A colour for each of so many levels, uint8 (count, 3)."""
    places = np.linspace(0, len(_COLOURS) - 1, max(count, 2))[:count]
    points = np.arange(len(_COLOURS))
    return np.stack([np.rint(np.interp(places, points, part)) for part in _COLOURS.T], axis=1).astype(
        np.uint8
    )


def _digit(level: int) -> str:
    return _DIGITS[level] if level < len(_DIGITS) else "+"
