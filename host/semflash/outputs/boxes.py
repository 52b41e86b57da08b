"""Boxes of objects as numpy arrays: how a detection data set labels its images, and what is done to them.

A row is (left, top, right, bottom, class, ignored): pixels of the image, right and bottom exclusive; class
0..; an ignored object (COCO's crowds, VOC's difficult ones) is neither learnt nor counted. An image has as
many rows as the richest one; rows without an object are filled with -1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BOX_FIELDS = 6
NO_OBJECT = -1.0
LEFT, TOP, RIGHT, BOTTOM, CLASS, IGNORED = range(BOX_FIELDS)


def present(boxes: np.ndarray) -> np.ndarray:
    """Bool (..., M): rows that hold an object."""
    there: np.ndarray = boxes[..., CLASS] >= 0
    return there


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """One array float32 (N, M, 6) of the objects (m, 6) of each image."""
    most = max([1, *(len(row) for row in rows)])
    boxes = np.full((len(rows), most, BOX_FIELDS), NO_OBJECT, np.float32)
    for target, row in zip(boxes, rows, strict=True):
        target[: len(row)] = row
    return boxes


def mirror(boxes: np.ndarray, width: int) -> np.ndarray:
    """The boxes of images flipped left to right."""
    flipped = boxes.copy()
    there = present(boxes)
    flipped[..., LEFT][there] = width - boxes[..., RIGHT][there]
    flipped[..., RIGHT][there] = width - boxes[..., LEFT][there]
    return flipped


def shift(boxes: np.ndarray, right: np.ndarray, down: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The boxes (N, M, 6) of images moved by so many pixels (N,), cut at the border of ``size`` (H, W).

    An object of which less than a quarter is left is ignored from then on; one wholly outside is gone.
    """
    moved, there = boxes.copy(), present(boxes)
    for first, second, by, most in ((LEFT, RIGHT, right, size[1]), (TOP, BOTTOM, down, size[0])):
        for side in (first, second):
            moved[..., side] = np.clip(boxes[..., side] + by[:, None], 0, most)
    before, after = area(boxes), area(moved)
    moved[..., IGNORED][there & (after < 0.25 * before)] = 1
    moved[~there | (after <= 0)] = NO_OBJECT
    return moved


def area(boxes: np.ndarray) -> np.ndarray:
    """Square pixels (..., M); 0 for a box without extent."""
    sides = np.maximum(boxes[..., (RIGHT, BOTTOM)] - boxes[..., (LEFT, TOP)], 0)
    product: np.ndarray = sides[..., 0] * sides[..., 1]
    return product


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union (M,) of boxes (M, 4+) with one box (4+,)."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, 2:4], box[2:4])
    sides = np.maximum(high - low, 0)
    shared = sides[:, 0] * sides[:, 1]
    union: np.ndarray = area(boxes) + area(box[None]) - shared
    return shared / np.maximum(union, 1e-9)
