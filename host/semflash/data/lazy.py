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

from semflash.errors import DatasetError

#: Image folders that would need more than this as an array are read lazily.
IN_MEMORY_MAX_BYTES = 2 << 30
THREADS = min(32, os.cpu_count() or 1)


class LazyImages:
    """Images of files, all made RGB and resized to one size (height, width), pixels."""

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], size: tuple[int, int]) -> None:
        self.paths, self.size = list(paths), size

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
        return LazyImages([self.paths[int(index)] for index in indices], self.size)

    def __getitem__(self, key: Any) -> Any:
        """A slice: LazyImages; a number: one image; an array of numbers: uint8 (n, height, width, 3)."""
        if isinstance(key, slice):
            return LazyImages(self.paths[key], self.size)
        if np.ndim(key) == 0:
            return self._read(self.paths[int(key)])
        return self.subset(np.arange(len(self))[key]).read()

    def read(self) -> np.ndarray:
        """All of them as one array. DatasetError: a file cannot be read."""
        images = np.empty(self.shape, np.uint8)
        for target, image in zip(images, self._pool.map(self._read, self.paths), strict=True):
            target[...] = image
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

    def _read(self, path: Path) -> np.ndarray:
        from PIL import Image

        try:
            with Image.open(path) as image:
                image.draft("RGB", (self.size[1], self.size[0]))  # a JPEG is decoded no larger than needed
                plain = image.convert("RGB")
                return np.asarray(
                    plain.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR), np.uint8
                )
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DatasetError(
                "cannot read an image", value=f"{path}: {error}", remedy="remove it"
            ) from error


def some(images: Any, indices: Any) -> Any:
    """Some images of an array or of LazyImages, without reading the latter."""
    return images.subset(indices) if isinstance(images, LazyImages) else images[indices]
