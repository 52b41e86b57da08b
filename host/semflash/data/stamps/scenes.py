"""The data set ``stamps-scenes``: 64x64 colour scenes of one to four stamps of five classes, with boxes.

10,000 training, 1,000 validation and 1,000 test scenes, composed once from a fixed seed and kept in the cache
folder. The three splits show different stamps. Boxes: see :class:`semflash.data.registry.Split`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semflash.data.dataset import Dataset, Split
from semflash.data.stamps.compose import backgrounds, draw_sprite, paste
from semflash.data.stamps.cutouts import SPLITS, Sprite, StampClass, find_stamps
from semflash.data.stamps.images import composed
from semflash.outputs.boxes import BOX_FIELDS, NO_OBJECT, overlap

CLASSES = (
    StampClass("animal", ("animals/birds", "animals/mammals")),
    StampClass("fruit", ("food/fruit",)),
    StampClass("flower", ("plants/flowers",)),
    StampClass("building", ("town/houses",)),
    StampClass("vehicle", ("vehicles",)),
)
SIDE = 64
COUNTS = {"train": 10_000, "val": 1_000, "test": 1_000}
OBJECTS_MAX = 4
#: Long side of an object as a share of the scene's side.
SMALLEST, LARGEST = 0.25, 0.55
#: Two objects may share this much of their union; another place is tried so many times, then it is left out.
OVERLAP_MAX = 0.05
TRIES = 12
_CHUNK = 500


def load_scenes(name: str, folder: Path | None) -> Dataset:
    """The data set, from the cache or composed now.

    Raises:
        DatasetError: the stamps or Pillow are missing, or the cache folder cannot be written.
    """
    root = find_stamps(folder, CLASSES)
    arrays = composed(name, root, CLASSES, COUNTS, SIDE, compose_scenes)
    train, val, test = (Split(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS)
    return Dataset(name, train, val, test, tuple(one.name for one in CLASSES))


def compose_scenes(
    sprites: list[list[Sprite]], count: int, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scenes uint8 (count, side, side, 3) and their boxes float32 (count, 4, 6)."""
    images = np.empty((count, side, side, 3), np.uint8)
    boxes = np.full((count, OBJECTS_MAX, BOX_FIELDS), NO_OBJECT, np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        canvases = backgrounds(rng.uniform(40, 215, part.stop - part.start), side, rng)
        for canvas, found in zip(canvases, boxes[part], strict=True):
            _fill(canvas, found, sprites, rng)
        images[part] = canvases.round()
    return images, boxes


def _fill(
    canvas: np.ndarray, found: np.ndarray, sprites: list[list[Sprite]], rng: np.random.Generator
) -> None:
    """Lay one to four objects into a canvas and write their boxes; the first always finds a place."""
    side, placed = len(canvas), 0
    for _ in range(int(rng.integers(1, OBJECTS_MAX + 1))):
        label = int(rng.integers(len(sprites)))
        sprite = sprites[label][int(rng.integers(len(sprites[label])))]
        long_side = int(rng.integers(round(SMALLEST * side), round(LARGEST * side) + 1))
        drawn = draw_sprite(sprite, long_side, rng)
        height, width = drawn.shape[:2]
        for _ in range(TRIES):
            top, left = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
            box = np.array([left, top, left + width, top + height], np.float32)
            if not placed or overlap(found[:placed, :4], box).max() <= OVERLAP_MAX:
                paste(canvas, drawn, top, left)
                found[placed] = (*box, label, 0)
                placed += 1
                break
