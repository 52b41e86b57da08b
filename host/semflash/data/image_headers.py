"""Headers of many image files, read once: which cannot be used, and how the others are turned.

For images that stay on disk (:mod:`.lazy_images`): what is wrong with them should be known before hours of
training. About 0.2 ms a file; of large data sets the answer is kept in the cache folder until a file changes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semflash.data.cache import cached
from semflash.data.image_files import ImageFileError, opened, orientation_of

#: Fewer files than this are quicker read than looked up.
CACHED_FROM = 10_000
THREADS = min(32, os.cpu_count() or 1)


@dataclass(frozen=True)
class Headers:
    """Of a list of files.

    Attributes:
        orientations: EXIF orientation uint8 (N,), 1 to 8; 0: the file cannot be used.
        bad: those files, and why.
    """

    orientations: np.ndarray
    bad: list[ImageFileError]


def read_headers(paths: Sequence[Path], *, decode: bool = False) -> Headers:
    """Open every file.

    Args:
        decode: decode each as well, as small as its format allows, which finds those that are cut off.

    Raises:
        DatasetError: Pillow is missing, or the cache folder cannot be written.
    """
    if len(paths) < CACHED_FROM:
        return _headers(paths, decode)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(path.absolute()) + _stamp(path))
    kept: list[Headers] = []

    def make() -> dict[str, np.ndarray]:
        kept.append(_headers(paths, decode))
        return {"orientations": kept[0].orientations}

    made_from = {"files": digest.hexdigest(), "decode": decode, "version": 1}
    orientations = cached("headers", made_from, make)["orientations"]
    if kept:
        return kept[0]
    bad = _headers([path for path, turned in zip(paths, orientations, strict=True) if not turned], decode).bad
    return Headers(orientations, bad)


def _headers(paths: Sequence[Path], decode: bool) -> Headers:
    with ThreadPoolExecutor(THREADS if decode else 1, thread_name_prefix="headers") as pool:
        found = list(pool.map(lambda path: _orientation(path, decode), paths))
    bad = [one for one in found if isinstance(one, ImageFileError)]
    turned = [0 if isinstance(one, ImageFileError) else one for one in found]
    return Headers(np.array(turned, np.uint8), bad)


def _orientation(path: Path, decode: bool) -> int | ImageFileError:
    try:
        with opened(path) as image:
            orientation = orientation_of(image)
            if decode:
                image.draft("RGB", (1, 1))
                image.load()
            return orientation
    except ImageFileError as error:
        return error


def _stamp(path: Path) -> bytes:
    """What changes with the file."""
    try:
        status = path.stat()
    except OSError:
        return b" unreadable\n"
    return f" {status.st_size} {status.st_mtime_ns} {status.st_ino}\n".encode()
