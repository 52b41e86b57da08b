"""The data set ``stamps-focus``: one stamp that matters, up to two others, and a busy background.

64x64 colour; 12,000 training, 1,000 validation and 1,000 test scenes, composed once from a fixed seed (about
a minute) and kept in the cache folder. The label is the class of the target, whose longer side is 24 to 42
pixels; the others come from folders of their own and are 18 to 34 pixels. The background is a gradient of
two colours with five octaves of noise. The three splits show different stamps, targets and others alike.

Beside images and labels a split has exact masks (:attr:`semflash.data.dataset.Split.masks`) and the share of
each patch that the target covers (:attr:`semflash.data.dataset.Split.cover`). Both are for evaluation, and
for the segmenter ``exact``, which is an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semflash.data.cache import cached
from semflash.data.composing import told
from semflash.data.dataset import BACKGROUND, OTHERS, TARGET, Dataset, Split
from semflash.data.stamps.compose import backgrounds, draw_sprite, octaves, paste
from semflash.data.stamps.cutouts import (
    OPAQUE,
    SPLITS,
    Sprite,
    StampClass,
    find_stamps,
    load_sprites,
    stamps_digest,
)
from semflash.data.stamps.images import CLASSES

NAME = "stamps-focus"
SIDE, PATCH = 64, 8
#: Folders of the others; none of them is a class.
CLUTTER = tuple(
    StampClass(folder, (folder,))
    for folder in (
        "animals/fish",
        "animals/insects",
        "clothes",
        "food/vegetables",
        "hobbies",
        "household",
        "people",
        "space",
        "sports",
    )
)
COUNTS = {"train": 12_000, "val": 1_000, "test": 1_000}
#: Longer side of the target, and of the others, pixels: smallest and largest.
TARGET_SIDES, OTHER_SIDES = (24, 42), (18, 34)
OTHERS_MAX = 2
#: Mean luminance of a background, 0..255.
LUMINANCES = (60.0, 195.0)
SEED = 20_261_202
#: Goes up when the composition changes, so that no older cache is taken for it.
COMPOSITION = 1
_CHUNK = 250

Groups = Sequence[Sequence[Sprite]]


def load_focus_scenes(name: str, folder: Path | None) -> Dataset:
    """The data set, from the cache or composed now.

    Raises:
        DatasetError: the stamps or Pillow are missing, or the cache folder cannot be written.
    """
    import PIL

    root = find_stamps(folder, CLASSES + CLUTTER)
    made_from = {
        "targets": stamps_digest(root, CLASSES),
        "others": stamps_digest(root, CLUTTER),
        "counts": COUNTS,
        "seed": SEED,
        "composition": COMPOSITION,
        "pillow": PIL.__version__,
    }
    arrays = cached(name, made_from, lambda: _compose(name, root))
    train, val, test = (
        Split(
            arrays[f"{split}_images"],
            arrays[f"{split}_labels"],
            cover_of(arrays[f"{split}_masks"]),
            arrays[f"{split}_masks"],
        )
        for split in SPLITS
    )
    return Dataset(name, train, val, test, tuple(one.name for one in CLASSES))


def cover_of(masks: np.ndarray) -> np.ndarray:
    """Share of each patch of 8x8 pixels that the target covers: uint8 (N, H/8, W/8), 255: all of it."""
    count, height, width = masks.shape
    patches = (masks == TARGET).reshape(count, height // PATCH, PATCH, width // PATCH, PATCH)
    return np.asarray((patches.mean((2, 4)) * 255).round(), np.uint8)


def compose_focus(
    targets: Groups, others: Groups, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scenes uint8 (count, 64, 64, 3), labels int32 (count,) and masks uint8 (count, 64, 64)."""
    labels = rng.integers(0, len(targets), count).astype(np.int32)
    canvases = backgrounds(rng.uniform(*LUMINANCES, count), SIDE, rng) + octaves(count, SIDE, rng)
    canvases = np.clip(canvases, 0, 255)
    masks = np.full((count, SIDE, SIDE), BACKGROUND, np.uint8)
    for canvas, mask, label in zip(canvases, masks, labels, strict=True):
        for _ in range(int(rng.integers(0, OTHERS_MAX + 1))):
            _lay(canvas, mask, others[int(rng.integers(len(others)))], OTHER_SIDES, OTHERS, rng)
        _lay(canvas, mask, targets[label], TARGET_SIDES, TARGET, rng)
    return np.clip(canvases, 0, 255).round().astype(np.uint8), labels, masks


def _lay(
    canvas: np.ndarray,
    mask: np.ndarray,
    group: Sequence[Sprite],
    sides: tuple[int, int],
    value: int,
    rng: np.random.Generator,
) -> None:
    """Paste one stamp of a group anywhere inside the canvas, and write its value where it is opaque."""
    sprite = group[int(rng.integers(len(group)))]
    drawn = draw_sprite(sprite, int(rng.integers(sides[0], sides[1] + 1)), rng)
    height, width = drawn.shape[:2]
    top, left = int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1))
    paste(canvas, drawn, top, left)
    mask[top : top + height, left : left + width][drawn[..., 3] >= OPAQUE / 255] = value


def _compose(name: str, root: Path) -> dict[str, np.ndarray]:
    targets, others = load_sprites(root, CLASSES), load_sprites(root, CLUTTER)
    parts: dict[str, list[np.ndarray]] = {}
    with told(f"composing {name}", sum(COUNTS.values())) as done:
        for index, split in enumerate(SPLITS):
            rng = np.random.default_rng([SEED, index])
            for start in range(0, COUNTS[split], _CHUNK):
                count = min(_CHUNK, COUNTS[split] - start)
                scenes = compose_focus(targets[split], others[split], count, rng)
                for field, values in zip(("images", "labels", "masks"), scenes, strict=True):
                    parts.setdefault(f"{split}_{field}", []).append(values)
                done(count)
    return {field: np.concatenate(values) for field, values in parts.items()}
