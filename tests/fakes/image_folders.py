"""Image folders with a colour per class, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def folder_of_images(where: Path, *, classes: int, train: int, test: int, side: int) -> Path:
    """``where/{train,test}/class N/*.png``, images of noise around one colour per class."""
    rng = np.random.default_rng(classes)
    colours = rng.integers(64, 192, (classes, 3))
    for part, count in (("train", train), ("test", test)):
        for index in range(classes):
            folder = where / part / f"class {index}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = colours[index] + rng.integers(-60, 60, (side, side, 3))
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return where
