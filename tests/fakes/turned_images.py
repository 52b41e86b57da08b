"""Images as cameras store them that were held another way: turned, with an EXIF orientation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

#: How an upright image lies in a file of each EXIF orientation (CIPA DC-008, tag 0x0112): by numpy alone.
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


def save_turned(path: Path, upright: np.ndarray, orientation: int, **options: object) -> None:
    """Write an image as a camera does that was held another way."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **options)
