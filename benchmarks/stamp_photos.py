"""Photograph-like pictures for benchmarks/first_hour.py: 64x64 JPEGs of one cut-out of four classes each.

``choosing`` and ``unseen`` are folders laid out as train and test; their test pictures show cut-outs that
``photos`` does not show, and each other ones: the first is for choosing, the second for reporting. None of
these classes, nor their kin, is in the network that small data starts from (benchmarks/start_network.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from semflash.data.stamps.compose import backgrounds, contrasting, draw_sprite, paste
from semflash.data.stamps.cutouts import DEBIAN_STAMPS, Sprite, StampClass, load_sprites

SIDE, SEED = 64, 20_261_202
CLASSES = (
    StampClass("fruit", ("food/fruit",)),
    StampClass("flower", ("plants/flowers",)),
    StampClass("house", ("town/houses",)),
    StampClass("vehicle", ("vehicles",)),
)
QUALITY = 90


def make_photos(root: Path, each: int = 60, other: int = 150) -> dict[str, Path]:
    """``photos/CLASS/*.jpg``, ``choosing`` and ``unseen`` below ``root``; their places by name."""
    sprites = load_sprites(DEBIAN_STAMPS, CLASSES)
    places = {name: root / name for name in ("photos", "choosing", "unseen")}
    for index, one in enumerate(CLASSES):
        known = sprites["train"][index]
        rng = np.random.default_rng([SEED, index])
        _write(places["photos"] / one.name, known, each, rng)
        for name, part in (("choosing", "val"), ("unseen", "test")):
            _write(places[name] / "train" / one.name, known, 12, rng)  # a folder needs both parts
            _write(places[name] / "test" / one.name, sprites[part][index], other, rng)
    return places


def _write(folder: Path, sprites: list[Sprite], count: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        sprite = sprites[number % len(sprites)]
        luminance = contrasting(np.array([sprite.luminance]), rng)
        canvas = backgrounds(luminance, SIDE, rng)[0]
        drawn = draw_sprite(sprite, int(rng.integers(38, 61)), rng)
        height, width = drawn.shape[:2]
        paste(canvas, drawn, int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1)))
        picture = Image.fromarray(canvas.round().astype(np.uint8))
        picture.save(folder / f"{one_name(number)}.jpg", quality=QUALITY)


def one_name(number: int) -> str:
    """File name of a picture, as a camera would number it."""
    return f"IMG_{number + 1:04d}"
