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
#: (seed, image, view, mix) of 23 images with three channels; shift 2, gain 0.15.
MIXTURES = ((0, 0, 1, 1.0), (0, 22, 2, 1.0), (7, 5, 9, 0.5), (7, 6, 9, 0.5), (7, 7, 9, 0.5), (7, 5, 0, 1.0))
IMAGES = 23


def image_of(channels: int, number: int = 0) -> list[list[list[int]]]:
    """Pixels that differ from each other, and from one image to the next."""
    return [
        [[(41 * y + 29 * x + 97 * c + 13 + 59 * number) % 256 for c in range(channels)] for x in range(WIDTH)]
        for y in range(HEIGHT)
    ]


def halves_of(seed: int, image: int, number: int) -> list[int]:
    """The eight 32-bit halves of Philox for (image, number), low half first."""
    # numpy counts up before it gives the first words: one less is given.
    counter = (image + (number << 64) - 1) % (1 << 256)
    words = [int(word) for word in np.random.Philox(key=seed, counter=counter).random_raw(4)]
    return [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]


def view_of(case: tuple[Any, ...], number: int = 0) -> list[list[list[int]]]:
    """The view of image_of(channels, number), as docs/teachers.md describes it."""
    seed, image, view, mirror, shift, gain, channels = case
    pixels = image_of(channels, number)
    if view == 0:
        return pixels
    halves = halves_of(seed, image, view)
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


def mixture_of(seed: int, image: int, view: int, mix: float) -> dict[str, Any]:
    """What is mixed into a view, and the pixels."""
    halves = halves_of(seed, image, view + 65_536)
    partner, weight = image, 256
    if view > 0 and halves[0] < round(Fraction(mix) * (1 << 32)):
        partner = halves[1] * IMAGES >> 32
    if partner != image:
        weight = 1 + (halves[2] * 255 >> 32)
    own, other = (view_of((seed, of, view, True, 2, 0.15, 3), of) for of in (image, partner))
    pixels = [
        [
            [(weight * a + (256 - weight) * b + 128) // 256 for a, b in zip(p, q, strict=True)]
            for p, q in zip(*rows, strict=True)
        ]
        for rows in zip(own, other, strict=True)
    ]
    told = {"seed": seed, "image": image, "view": view, "mix": mix}
    return told | {"partner": partner, "weight": weight, "pixels": pixels}


def mixtures() -> list[dict[str, Any]]:
    """All cases of mixtures."""
    return [mixture_of(*case) for case in MIXTURES]


def vectors() -> list[dict[str, Any]]:
    """All cases with their pixels."""
    names = ("seed", "image", "view", "mirror", "shift_px", "gain", "channels")
    return [dict(zip(names, case, strict=True)) | {"pixels": view_of(case)} for case in CASES]


if __name__ == "__main__":
    text = json.dumps({"height": HEIGHT, "width": WIDTH, "views": vectors(), "mixtures": mixtures()})
    Path(__file__).with_name("views.json").write_text(text + "\n", encoding="utf-8")
