"""The data sets ``stamps`` and ``stamps-grey``: images of one stamp of ten classes on a random background.

``stamps`` is 32x32 in colour, ``stamps-grey`` 28x28 in grey, the shape of Fashion-MNIST and MNIST, so that
codecs can be carried over. 20,000 training, 2,000 validation and 2,000 test images each, composed once from a
fixed seed (about ten seconds) and kept in the cache folder. The three splits show different stamps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from semflash.data.cache import cached
from semflash.data.dataset import Dataset, Split
from semflash.data.stamps.compose import backgrounds, contrasting, draw_sprite, paste
from semflash.data.stamps.cutouts import (
    LUMINANCE,
    SPLITS,
    Sprite,
    StampClass,
    find_stamps,
    load_sprites,
    stamps_digest,
)

CLASSES = (
    StampClass("bird", ("animals/birds",)),
    StampClass("mammal", ("animals/mammals",)),
    StampClass("fruit", ("food/fruit",)),
    StampClass("flower", ("plants/flowers",)),
    StampClass("building", ("town/houses",)),
    StampClass("vehicle", ("vehicles",)),
    StampClass("road sign", ("town/roadsigns",)),
    StampClass(
        "coin",
        tuple(f"symbols/money/{of}" for of in ("canadian/coins", "euro/coins", "us/coins", "japanese")),
    ),
    StampClass("hand sign", ("symbols/alphabets/asl",)),
    StampClass("letter", ("symbols/alphabets/english/filled",), mirrored=False),
)
SIDE, GREY_SIDE = 32, 28
COUNTS = {"train": 20_000, "val": 2_000, "test": 2_000}
SEED = 20_261_125
#: Goes up when the composition changes, so that no older cache is taken for it.
COMPOSITION = 1
_CHUNK = 1_000

Composer = Callable[[list[list[Sprite]], int, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def load_stamps(name: str, folder: Path | None) -> Dataset:
    """The data set, from the cache or composed now.

    Raises:
        DatasetError: the stamps or Pillow are missing, or the cache folder cannot be written.
    """
    return _load(name, folder, SIDE, compose_images)


def load_grey_stamps(name: str, folder: Path | None) -> Dataset:
    """As :func:`load_stamps`, of 28x28 grey images (N, 28, 28, 1)."""
    return _load(name, folder, GREY_SIDE, compose_grey_images)


def _load(name: str, folder: Path | None, side: int, compose: Composer) -> Dataset:
    root = find_stamps(folder, CLASSES)
    arrays = composed(name, root, CLASSES, COUNTS, side, compose)
    train, val, test = (Split(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS)
    return Dataset(name, train, val, test, tuple(one.name for one in CLASSES))


def composed(
    name: str,
    root: Path,
    classes: tuple[StampClass, ...],
    counts: dict[str, int],
    side: int,
    compose: Composer,
) -> dict[str, np.ndarray]:
    """Images and labels of the three splits, ``SPLIT_images`` and ``SPLIT_labels``, through the cache."""
    import PIL

    made_from = {
        "stamps": stamps_digest(root, classes),
        "counts": counts,
        "side": side,
        "seed": SEED,
        "composition": COMPOSITION,
        "composer": compose.__name__,
        "pillow": PIL.__version__,
    }

    def make() -> dict[str, np.ndarray]:
        sprites = load_sprites(root, classes)
        arrays: dict[str, np.ndarray] = {}
        for index, split in enumerate(SPLITS):
            rng = np.random.default_rng([SEED, index])
            images, labels = compose(sprites[split], counts[split], side, rng)
            arrays |= {f"{split}_images": images, f"{split}_labels": labels}
        return arrays

    return cached(name, made_from, make)


def compose_images(
    sprites: list[list[Sprite]], count: int, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (count, side, side, 3) of one stamp each, labels int32 (count,); equal shares."""
    labels = rng.integers(0, len(sprites), count).astype(np.int32)
    images = np.empty((count, side, side, 3), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        chosen = [sprites[label][rng.integers(len(sprites[label]))] for label in labels[part]]
        luminance = contrasting(np.array([sprite.luminance for sprite in chosen]), rng)
        canvases = backgrounds(luminance, side, rng)
        for canvas, sprite in zip(canvases, chosen, strict=True):
            drawn = draw_sprite(sprite, int(rng.integers(round(0.6 * side), round(0.95 * side) + 1)), rng)
            height, width = drawn.shape[:2]
            top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
            paste(canvas, drawn, int(top), int(left))
        images[part] = canvases.round()
    return images, labels


def compose_grey_images(
    sprites: list[list[Sprite]], count: int, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`compose_images`, the luminance (ITU-R BT.601) alone: uint8 (count, side, side, 1)."""
    images, labels = compose_images(sprites, count, side, rng)
    grey = np.empty((*images.shape[:3], 1), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        grey[part] = (images[part].astype(np.float32) @ LUMINANCE).round()[..., None]
    return grey, labels
