"""The one place where image files are opened: known formats, regular files, a limit of pixels, upright.

A file's name says nothing: Pillow would hand an EPS called .jpg to Ghostscript, a FIFO would wait for ever,
and a header may declare more pixels than memory holds. So the format is one of :data:`FORMATS`, what is
opened is a regular file, and its size is looked at before a pixel is decoded. EXIF orientation is applied: an
image is as a viewer shows it. Of an animation the first frame counts. Needs Pillow.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from semflash.errors import DatasetError

#: What Pillow may take a file for (PPM includes PGM); suffixes by which a folder's images are found.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".webp")
#: More than any camera that pictures for a small network are likely to come from; 192 MB as RGB.
PIXELS_MAX = 64_000_000
#: Modes of Pillow whose values are bytes; 16-bit and float pixels would be cut off without a word.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
#: Unreadable files that an error lists by name.
LISTED_MAX = 50
ORIENTATION_TAG = 0x0112

#: What Pillow raises for damaged files.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, OverflowError, IndexError, struct.error, zlib.error)

F = TypeVar("F")
T = TypeVar("T")


class ImageFileError(DatasetError):
    """One image file cannot be used.

    Attributes:
        path: The file.
        reason: Why, in a few words.
    """

    def __init__(self, path: Path, reason: str, *, remedy: str = "mend or remove it") -> None:
        super().__init__("cannot read an image", value=f"{path}: {reason}", remedy=remedy)
        self.path, self.reason = path, reason


def open_regular(path: Path) -> BufferedReader:
    """A file for reading, where it is a regular one (or a link to one); never waits.

    Raises:
        OSError: it is none (a FIFO, a device, a folder), links run in a circle, or it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a device may do something when it is opened
        raise OSError("not a regular file")
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # changed in between
        file.close()
        raise OSError("not a regular file")
    return file


@contextmanager
def opened(path: Path, *, pixels_max: int = PIXELS_MAX) -> Iterator[Any]:
    """A Pillow image whose header was read and found good; its pixels are decoded where they are asked for.

    It lies as it is stored: :func:`upright` turns it.

    Raises:
        ImageFileError: No regular file, none of :data:`FORMATS`, too many pixels, 16-bit or float pixels, or,
            also while the caller works with it, damaged.
        DatasetError: Pillow is missing.
    """
    Image = _pillow()
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > pixels_max:
                size = f"{image.width}x{image.height}, more than {pixels_max:,} pixels"
                raise ImageFileError(path, size, remedy="make it smaller")
            if image.mode not in MODES:
                raise ImageFileError(path, f"pixels of mode {image.mode}", remedy="convert it to 8 bits")
            yield image
    except Image.UnidentifiedImageError as error:
        raise ImageFileError(path, f"none of {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(path, "too many pixels", remedy="make it smaller") from error
    except _DAMAGED as error:
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise ImageFileError(path, reason[:200]) from error


@cache
def _pillow() -> Any:
    """Pillow's module Image, without its warnings of many pixels (the limit here is a lower one) and of EXIF
    blocks that cannot be read (:func:`orientation_of`)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError("images need Pillow", remedy="pip install 'semflash[data]'") from error
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
    return Image


def orientation_of(image: Any) -> int:
    """EXIF orientation, 1 (upright) to 8. An EXIF block that cannot be read is one that says nothing, as in
    every viewer."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, OverflowError):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places when the image is put upright.

    >>> [swaps_sides(orientation) for orientation in (1, 3, 6)]
    [False, False, True]
    """
    return orientation >= 5


def upright(image: Any, orientation: int) -> Any:
    """The image as it is meant to be seen (EXIF 2.3, 4.6.4 A, tag Orientation)."""
    from PIL import Image

    turn = Image.Transpose
    steps = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return image.transpose(steps[orientation]) if orientation in steps else image


def pixels_of(image: Any, size: tuple[int, int], mode: str, orientation: int) -> np.ndarray:
    """Upright pixels uint8 (height, width, 1 or 3) of an opened image, resized (bilinear) to ``size``.

    Args:
        size: Height and width.
        mode: ``L`` (grey) or ``RGB``.
    """
    turned = upright(image.convert(mode), orientation)
    resized = turned.resize((size[1], size[0]), _pillow().Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(*size, -1)


def each(files: Iterable[F], read: Callable[[F], T]) -> tuple[list[T | None], list[ImageFileError]]:
    """``read`` of every file in order, None for those that cannot be read, and why not."""
    found: list[T | None] = []
    bad: list[ImageFileError] = []
    for file in files:
        try:
            found.append(read(file))
        except ImageFileError as error:
            found.append(None)
            bad.append(error)
    return found, bad


def refuse(bad: Sequence[ImageFileError], total: int) -> DatasetError:
    """One error that names all files that cannot be used (the first fifty), to raise."""
    if len(bad) == 1:
        return DatasetError(bad[0].what, value=bad[0].value, remedy=_WITHOUT.format(bad[0].remedy))
    lines = [f"\n    {one.path}: {one.reason}" for one in bad[:LISTED_MAX]]
    if len(bad) > LISTED_MAX:
        lines.append(f"\n    and {len(bad) - LISTED_MAX:,} more")
    return DatasetError(
        f"cannot read {len(bad):,} of {total:,} images",
        value="".join(lines),
        remedy=_WITHOUT.format("mend or remove them"),
    )


_WITHOUT = "{}, or leave out what cannot be read with --skip-bad"
