"""A small image folder for tests: noise that is dark in one class and light in the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def noise_folder(
    root: Path, train: int = 30, test: int = 4, suffix: str = ".png", size: tuple[int, int] = (32, 32)
) -> Path:
    """``train`` and ``test`` images of each of the classes dark and light; size: width and height."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for index, name in enumerate(("dark", "light")):
            for number in range(count):
                path = root / part / name / f"{number}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                values = rng.integers(0, 120, (size[1], size[0], 3)) + 120 * index
                Image.fromarray(values.astype(np.uint8)).save(path)
    return root
