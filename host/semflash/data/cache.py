"""Generated data sets in the user's cache folder, as .npz under the digest of what they were made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semflash.array_files import read_npz, write_npz
from semflash.errors import DatasetError, TrainingError


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/semflash/data``, or under ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "semflash" / "data"


def cached(
    name: str, made_from: dict[str, Any], make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays from the cache, or made now and kept.

    A file that is damaged is made again. It is written in one step, so that two processes may do so at once.

    Args:
        name: readable start of the file's name.
        made_from: plain JSON that decides the arrays; another value is another file.

    Raises:
        DatasetError: the cache folder cannot be written.
    """
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    path = cache_dir() / f"{name}-{digest[:16]}.npz"
    if path.is_file():
        try:
            return read_npz(path)
        except TrainingError:
            path.unlink(missing_ok=True)
    arrays = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, arrays)
    except OSError as error:
        raise DatasetError(
            f"cannot keep the data set {name}: {error.strerror}",
            value=path.parent,
            remedy="make room, or set XDG_CACHE_HOME to a folder that can be written",
        ) from error
    return arrays
