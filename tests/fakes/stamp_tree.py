"""A small tree of PNG cut-outs laid out like the stamps package, made for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from semflash.data.stamps.cutouts import StampClass

BLACK, WHITE = StampClass("black", ("things/black",)), StampClass("white", ("things/white", "more/white"))


def stamp(path: Path, colour: int, size: tuple[int, int] = (24, 24)) -> None:
    """A square of one grey value inside a transparent border of 4 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1] + 8, size[0] + 8, 4), np.uint8)
    pixels[4:-4, 4:-4] = (colour, colour, colour, 255)
    Image.fromarray(pixels, "RGBA").save(path)


def stamp_tree(root: Path, classes: Sequence[StampClass] = (BLACK, WHITE), each: int = 10) -> Path:
    """``each`` stamps per folder of every class: classes alternate between black and white."""
    for index, one in enumerate(classes):
        for folder in one.folders:
            for number in range(each):
                stamp(root / folder / f"{number}.png", 255 * (index % 2), (20 + number, 24))
    return root
