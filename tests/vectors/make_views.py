"""Writes views.json: views of small images, by plain loops and numpy's own Philox, not by what is tested.

python tests/vectors/make_views.py
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

#: (seed, image, view, mirror, shift, gain, channels)
CASES = (
    (0, 0, 0, True, 4, 0.15, 3),
    (0, 0, 1, True, 4, 0.15, 3),
    (0, 1, 1, True, 4, 0.15, 3),
    (0, 1, 2, True, 4, 0.15, 1),
    (0, 19_999, 7, True, 4, 0.15, 3),
    (7, 123_456_789_012, 65_535, True, 2, 0.5, 3),
    (7, 3, 5, False, 4, 0.15, 3),
    (7, 3, 6, False, 0, 0.0, 3),
    (9_007_199_254_740_992, 3, 6, True, 1, 0.9, 3),
)
HEIGHT, WIDTH = 6, 5


def image_of(channels: int) -> list[list[list[int]]]:
    """Pixels that differ from each other."""
    return [
        [[(41 * y + 29 * x + 97 * c + 13) % 256 for c in range(channels)] for x in range(WIDTH)]
        for y in range(HEIGHT)
    ]


def view_of(case: tuple[Any, ...]) -> list[list[list[int]]]:
    """The view, as docs/teachers.md describes it."""
    seed, image, view, mirror, shift, gain, channels = case
    pixels = image_of(channels)
    if view == 0:
        return pixels
    # numpy counts up before it gives the first words: one less is given.
    counter = (image + (view << 64) - 1) % (1 << 256)
    words = [int(word) for word in np.random.Philox(key=seed, counter=counter).random_raw(4)]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    down, right = (shift - (half * (2 * shift + 1) >> 32) for half in halves[:2])
    if mirror and halves[2] & 1:
        pixels = [row[::-1] for row in pixels]
    spread = round(Fraction(gain) * 65_536)
    gains = [65_536 - spread + (half * (2 * spread + 1) >> 32) for half in halves[3:6]]
    result = [[[0] * channels for _ in range(WIDTH)] for _ in range(HEIGHT)]
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if 0 <= y - down < HEIGHT and 0 <= x - right < WIDTH:
                for c in range(channels):
                    value = (pixels[y - down][x - right][c] * gains[c] + 32_768) // 65_536
                    result[y][x][c] = min(value, 255)
    return result


def vectors() -> list[dict[str, Any]]:
    """All cases with their pixels."""
    names = ("seed", "image", "view", "mirror", "shift_px", "gain", "channels")
    return [dict(zip(names, case, strict=True)) | {"pixels": view_of(case)} for case in CASES]


if __name__ == "__main__":
    text = json.dumps({"height": HEIGHT, "width": WIDTH, "views": vectors()})
    Path(__file__).with_name("views.json").write_text(text + "\n", encoding="utf-8")
