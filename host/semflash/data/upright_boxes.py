"""Boxes of annotations in the frame of the upright image.

COCO and VOC do not say whether coordinates count from the image as it is stored or as a viewer shows it, once
its EXIF orientation is applied, and tools differ: those that draw on what a browser shows (CVAT, Label
Studio, RectLabel) and the loader of detectron2 take the upright one, older LabelImg and plain Pillow the
stored one. The width and height that an annotation states tell them apart wherever the sides change places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semflash.data.image_files import ImageFileError, swaps_sides

#: Boxes may lie so many pixels outside; annotations round.
SLACK_PX = 2.0


@dataclass(frozen=True)
class Frame:
    """An image as it is stored: width and height in pixels, and its EXIF orientation."""

    width: int
    height: int
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as it is shown."""
        return (self.height, self.width) if swaps_sides(self.orientation) else (self.width, self.height)


def upright_boxes(
    path: Path, corners: np.ndarray, frame: Frame, stated: tuple[int, int] | None
) -> tuple[np.ndarray, bool]:
    """Boxes (n, 4: left, top, right, bottom) in pixels of the upright image, and whether they were turned.

    Args:
        stated: width and height of the annotation. Those of the upright image, or None: the boxes are upright
            already. Those of the stored image only: they are turned with it.

    Raises:
        ImageFileError: another size than the file's, or boxes outside the image that the annotation means.
    """
    stored = (frame.width, frame.height)
    if stated not in (None, stored, frame.upright):
        assert stated is not None
        raise ImageFileError(
            path,
            f"the annotation says {stated[0]}x{stated[1]} (width x height), "
            f"the file has {stored[0]}x{stored[1]}",
            remedy="annotate the file as it is",
        )
    turned = stated == stored != frame.upright
    width, height = stored if turned else frame.upright
    outside = (corners < -SLACK_PX).any() or (corners > np.array([width, height] * 2) + SLACK_PX).any()
    if frame.orientation > 1 and outside:
        raise ImageFileError(
            path,
            f"EXIF turns it, and boxes lie outside the {width}x{height} pixels that they belong to",
            remedy="take the EXIF orientation out of the file, or correct the annotation's width and height",
        )
    return (_turn(corners, frame) if turned else corners), turned


def _turn(corners: np.ndarray, frame: Frame) -> np.ndarray:
    """Boxes of the stored image as boxes of the upright one."""
    left, top, right, bottom = corners.T
    width, height = frame.width, frame.height
    across, down = {
        5: ((top, bottom), (left, right)),
        6: ((height - bottom, height - top), (left, right)),
        7: ((height - bottom, height - top), (width - right, width - left)),
        8: ((top, bottom), (width - right, width - left)),
    }[frame.orientation]
    return np.stack([across[0], down[0], across[1], down[1]], axis=1)
