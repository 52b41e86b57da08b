"""Pictures that come one by one, kept as CLASS/CLASS-000001.png: none is ever replaced or half written."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash import atomic
from semflash.data.image_files import SUFFIXES
from semflash.data.own.survey import PARTS
from semflash.errors import DatasetError, UsageError

LABEL_MAX_BYTES = 80
NUMBER_DIGITS = 6


def check_label(label: str) -> str:
    """The label itself, where a class folder may be called that.

    Raises:
        UsageError: no name for a folder, or one that means a part of a data set.
    """
    plain = label == label.strip() and label.isprintable() and not set(label) & set('/\\:*?"<>|')
    if not plain or not label or label.startswith(".") or len(label.encode()) > LABEL_MAX_BYTES:
        raise UsageError(
            "a label is the name of a folder: printable, without / and without a leading '.', "
            f"at most {LABEL_MAX_BYTES} bytes",
            value=repr(label[:LABEL_MAX_BYTES]),
            remedy="--label cat",
        )
    if label in PARTS:
        raise UsageError(
            "this is the name of a part of a data set, not of a class",
            value=label,
            remedy=f"name what the pictures show; a part is collected by --out FOLDER/{label}",
        )
    return label


class Album:
    """A folder with a folder for each class.

    Args:
        folder: made with the first picture; what lies there stays.
        notes: words that go into each file (PNG ``tEXt``), for instance where the pictures come from.
    """

    def __init__(self, folder: Path, notes: Mapping[str, str]) -> None:
        self.folder, self._notes = folder, dict(notes)
        self._next: dict[str, int] = {}

    def count(self, label: str) -> int:
        """Image files of a class that are there, whoever put them there."""
        return sum(path.suffix.lower() in SUFFIXES for path in self._files(label))

    def add(self, label: str, pixels: NDArray[np.uint8]) -> Path:
        """Keep one picture.

        Args:
            label: as :func:`check_label` takes them. pixels: (H, W, C) with C 1 or 3.

        Returns:
            Its file, which is whole on the disk.

        Raises:
            DatasetError: other channels. OSError: no room, or not allowed.
        """
        data = self._png(pixels)
        place = self.folder / label
        place.mkdir(parents=True, exist_ok=True)
        number = self._next.get(label) or 1 + self._largest(label)
        while True:
            path = place / f"{label}-{number:0{NUMBER_DIGITS}d}.png"
            number += 1
            try:
                atomic.write(path, data, new=True)
            except FileExistsError:  # another collector took the number
                continue
            self._next[label] = number
            return path

    def _files(self, label: str) -> list[Path]:
        place = self.folder / label
        return [path for path in place.iterdir() if not path.name.startswith(".")] if place.is_dir() else []

    def _largest(self, label: str) -> int:
        """The largest number in the class's folder, 0 where there is none."""
        form = re.compile(re.escape(label) + r"-(\d{1,12})\.png")
        numbers = (form.fullmatch(path.name) for path in self._files(label))
        return max((int(match[1]) for match in numbers if match is not None), default=0)

    def _png(self, pixels: NDArray[np.uint8]) -> bytes:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
            raise DatasetError(
                "image files hold grey or RGB pixels",
                value=f"{pixels.dtype} {pixels.shape}",
                remedy="a bundle whose images have one channel or three",
            )
        notes = PngInfo()
        for key, text in self._notes.items():
            notes.add_text(key, text)
        data = io.BytesIO()
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        image.save(data, "PNG", pnginfo=notes)
        return data.getvalue()
