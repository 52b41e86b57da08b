"""Small pictures as text: two pixels in a character by its two colours, or shades of grey by characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.output import Picture

if TYPE_CHECKING:
    from rich.text import Text

#: From black to white.
_SHADES = " .:-=+*#%@"
_GAP = 2

Pixels = NDArray[np.uint8]


def fitted(pixels: Pixels, columns: int) -> Pixels:
    """A picture uint8 (H, W, C) as (H', W', 3), at most so many columns, by picking pixels; H' is even."""
    height, width, channels = pixels.shape
    wide = max(1, min(columns, width))
    tall = max(2, round(height * wide / width / 2) * 2)
    rows, places = np.arange(tall) * height // tall, np.arange(wide) * width // wide
    picked = pixels[rows][:, places]
    return picked[..., :3] if channels >= 3 else picked[..., :1].repeat(3, axis=-1)


def beside(pictures: Sequence[Picture], columns: int) -> list[Text]:
    """Pictures side by side under their names, each at most so many columns wide, in colour."""
    from rich.text import Text

    shown = [fitted(picture.pixels, columns) for picture in pictures]
    lines = [Text(_heads(pictures, shown), "dim")]
    for row in range(max(len(one) for one in shown) // 2):
        text = Text()
        for one in shown:
            above, below = (one[2 * row + part] if 2 * row < len(one) else None for part in (0, 1))
            for column in range(one.shape[1]):
                if above is None or below is None:
                    text.append(" ")
                else:
                    text.append("▀", f"{_colour(above[column])} on {_colour(below[column])}")
            text.append(" " * _GAP)
        lines.append(text)
    return lines


def shades(pictures: Sequence[Picture], columns: int) -> list[str]:
    """The same in plain ASCII: brighter is denser.

    >>> ramp = np.linspace(0, 255, 8).astype(np.uint8).reshape(1, 8, 1).repeat(4, axis=0)
    >>> shades([Picture("original", ramp)], 8)
    ['original', ' .:-+*#@', ' .:-+*#@']
    """
    shown = [fitted(picture.pixels, columns) for picture in pictures]
    blocks = []
    for one in shown:
        grey = one.astype(np.float64).mean(-1).reshape(len(one) // 2, 2, -1).mean(1)
        steps = (grey * (len(_SHADES) - 1) / 255).astype(int)
        blocks.append(["".join(_SHADES[step] for step in row) for row in steps])
    widths = [one.shape[1] + _GAP for one in shown]
    lines = [
        "".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip("\n")
        for row in zip_longest(*blocks, fillvalue="")
    ]
    return [_heads(pictures, shown), *(one[:-_GAP] for one in lines)]


def _heads(pictures: Sequence[Picture], shown: Sequence[Pixels]) -> str:
    """Names above the pictures, cut to their widths."""
    widths = [pixels.shape[1] for pixels in shown]
    names = (one.name[:width].ljust(width + _GAP) for one, width in zip(pictures, widths, strict=True))
    return "".join(names).rstrip()


def _colour(pixel: Pixels) -> str:
    red, green, blue = (int(value) for value in pixel)
    return f"#{red:02x}{green:02x}{blue:02x}"
