"""Images that stay on disk until they are asked for: for data sets larger than memory.

:class:`LazyImages` behaves like the uint8 array (N, height, width, 3) as far as the training needs: length,
shape, slices (which stay lazy) and index arrays (which are read, by threads: Pillow decodes outside Python's
lock).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from semflash.data.image_files import (
    ImageFileError,
    opened,
    orientation_of,
    pixels_of,
    refuse,
    swaps_sides,
)
from semflash.data.image_headers import read_headers

#: Image folders that would need more than this as an array are read lazily.
IN_MEMORY_MAX_BYTES = 2 << 30
_DIGESTED = 4_096
THREADS = min(32, os.cpu_count() or 1)


class LazyImages:
    """Images of files, all made upright and RGB and resized to one size (height, width), pixels.

    Args:
        orientations: of the files, where they are known (:mod:`.image_headers`), uint8 (N,).
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, paths: Sequence[Path], size: tuple[int, int], orientations: np.ndarray | None = None
    ) -> None:
        self.paths, self.size = list(paths), size
        self._orientations = orientations

    @property
    def orientations(self) -> np.ndarray:
        """EXIF orientations uint8 (N,), 1 to 8; read out of the files' headers where they are not known yet.

        Raises:
            DatasetError: a file cannot be used.
        """
        if self._orientations is None:
            headers = read_headers(self.paths)
            if headers.bad:
                raise refuse(headers.bad, len(self))
            self._orientations = headers.orientations
        return self._orientations

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, height, width, 3)."""
        return len(self.paths), *self.size, 3

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: Any) -> LazyImages:
        """Some of them, still on disk."""
        turned = None if self._orientations is None else self._orientations[np.asarray(indices)]
        return LazyImages([self.paths[int(index)] for index in indices], self.size, turned)

    def __getitem__(self, key: Any) -> Any:
        """A slice: LazyImages; a number: one image; an array of numbers: uint8 (n, height, width, 3)."""
        if isinstance(key, slice):
            turned = None if self._orientations is None else self._orientations[key]
            return LazyImages(self.paths[key], self.size, turned)
        if np.ndim(key) == 0:
            return self._read(self.paths[int(key)])
        return self.subset(np.arange(len(self))[key]).read()

    def read(self) -> np.ndarray:
        """All of them as one array. DatasetError: files cannot be read; all of them are named."""
        images = np.empty(self.shape, np.uint8)
        bad: list[ImageFileError] = []
        for target, image in zip(images, self._pool.map(self._attempt, self.paths), strict=True):
            if isinstance(image, ImageFileError):
                bad.append(image)
            else:
                target[...] = image
        if bad:
            raise refuse(bad, len(self))
        return images

    def astype(self, dtype: Any) -> np.ndarray:
        """All of them as one array of another type."""
        return self.read().astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self.read() if dtype is None else self.astype(dtype)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS, thread_name_prefix="images")

    def _attempt(self, path: Path) -> np.ndarray | ImageFileError:
        try:
            return self._read(path)
        except ImageFileError as error:
            return error

    def _read(self, path: Path) -> np.ndarray:
        with opened(path) as image:
            orientation = orientation_of(image)
            width, height = self.size[::-1] if not swaps_sides(orientation) else self.size
            image.draft("RGB", (width, height))  # a JPEG is decoded no larger than needed
            return pixels_of(image, self.size, "RGB", orientation)


def some(images: Any, indices: Any) -> Any:
    """Some images of an array or of LazyImages, without reading the latter."""
    return images.subset(indices) if isinstance(images, LazyImages) else images[indices]


def add_to_digest(digest: Any, images: Any, listing_sha256: str) -> None:
    """Add images to a digest of hashlib.

    Args:
        images: uint8 (N, H, W, C); LazyImages count by the names of their files, in order, and by
            `listing_sha256`, the digest of the folder's list of files, and are not read.
    """
    if isinstance(images, LazyImages):
        digest.update(listing_sha256.encode())
        digest.update("\0".join(path.name for path in images.paths).encode("utf-8", "surrogateescape"))
        return
    for start in range(0, len(images), _DIGESTED):
        digest.update(np.ascontiguousarray(images[start : start + _DIGESTED]).tobytes())
