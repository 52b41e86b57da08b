"""The data set ``fashion-scenes``: one tinted item of Fashion-MNIST, 20 to 28 pixels, in a cluttered scene.

64x64 colour; 40,000 training, 2,000 validation and 4,000 test scenes, composed once from a fixed seed (about
a minute) and kept in the cache folder. The label is the item's class. For evaluation alone, a split also has
the share of each patch that the item covers (:attr:`semflash.data.dataset.Split.cover`).

The splits share neither items nor stamps: items of the test split come from the test files of Fashion-MNIST,
those of the validation split are the ones held out of its training files, and stamps are divided by a digest
of their path. Stamps that show clothes are left out of the clutter.

``fashion-items`` has the same items and splits and is easier: 32x32, so that an item fills most of it, one
stamp and one fragment, whose opacity is drawn from 0 (none) to 1. A network that is to learn the first begins
with the second, which costs a quarter of the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from semflash.data.cache import cached
from semflash.data.composing import told
from semflash.data.dataset import Dataset, Split
from semflash.data.stamps.clutter import Kind, Material, Scenes, compose_scenes, drawn_stamps
from semflash.data.stamps.cutouts import SPLITS, StampClass, find_stamps, load_sprites, stamps_digest

SCENES, ITEMS = "fashion-scenes", "fashion-items"
CLUTTER = tuple(
    StampClass(folder, (folder,))
    for folder in (
        "animals",
        "food",
        "hobbies",
        "household",
        "plants",
        "seasonal",
        "space",
        "sports",
        "vehicles",
    )
)
KINDS = {
    SCENES: Kind(side=64, stamps=4, fragments=5),
    ITEMS: Kind(side=32, stamps=1, fragments=1, fading=True),
}
COUNTS = {
    SCENES: {"train": 40_000, "val": 2_000, "test": 4_000},
    ITEMS: {"train": 40_000, "val": 1_000, "test": 1_000},
}
#: So many stamps are drawn for a split.
DRAWN = {"train": 8_000, "val": 2_000, "test": 2_000}
SEED = 20_261_201
#: Goes up when the composition changes, so that no older cache is taken for it.
COMPOSITION = 1
_CHUNK = 500
#: Generators of a split: for drawing its stamps, and for composing each data set.
_DRAWING, _STREAMS = 1, {SCENES: 2, ITEMS: 3}


def load_fashion_scenes(name: str, items: Dataset, folder: Path | None) -> Dataset:
    """One of the two data sets, from the cache or composed now.

    Args:
        name: Of the data set.
        items: Fashion-MNIST.
        folder: Where the stamps are looked for first.

    Raises:
        DatasetError: The stamps or Pillow are missing, or the cache folder cannot be written.
    """
    import PIL

    root = find_stamps(folder, CLUTTER)
    made_from = {
        "items": _digest(items),
        "stamps": stamps_digest(root, CLUTTER),
        "kind": asdict(KINDS[name]),
        "counts": COUNTS[name],
        "drawn": DRAWN,
        "seed": SEED,
        "composition": COMPOSITION,
        "pillow": PIL.__version__,
    }
    arrays = cached(name, made_from, lambda: _compose(name, items, root))
    train, val, test = (
        Split(*(arrays[f"{split}_{field}"] for field in ("images", "labels", "cover"))) for split in SPLITS
    )
    return Dataset(name, train, val, test, items.class_names)


def _material(items: Dataset, root: Path, split: str) -> Material:
    part: Split = getattr(items, split)
    sprites = [sprite for one in load_sprites(root, CLUTTER)[split] for sprite in one]
    rng = np.random.default_rng([SEED, SPLITS.index(split), _DRAWING])
    return Material(part.images[..., 0], part.labels, drawn_stamps(sprites, DRAWN[split], rng))


def _compose(name: str, items: Dataset, root: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, list[np.ndarray]] = {}
    counts, kind = COUNTS[name], KINDS[name]
    with told(f"composing {name}", sum(counts.values())) as done:
        for index, split in enumerate(SPLITS):
            rng = np.random.default_rng([SEED, index, _STREAMS[name]])
            for scenes in _parts(_material(items, root, split), counts[split], kind, rng):
                for field in ("images", "labels", "cover"):
                    arrays.setdefault(f"{split}_{field}", []).append(getattr(scenes, field))
                done(len(scenes.labels))
    return {field: np.concatenate(parts) for field, parts in arrays.items()}


def _parts(material: Material, count: int, kind: Kind, rng: np.random.Generator) -> Iterator[Scenes]:
    for start in range(0, count, _CHUNK):
        yield compose_scenes(material, kind, min(_CHUNK, count - start), rng)


def _digest(items: Dataset) -> str:
    """SHA-256 (hex) over the items and their labels."""
    digest = hashlib.sha256()
    for part in (items.train, items.val, items.test):
        digest.update(np.ascontiguousarray(part.images).data)
        digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()
