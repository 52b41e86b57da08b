"""Arrays and JSON as files that are whole or not there."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from semflash import atomic
from semflash.errors import TrainingError

_READ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays in one step. OSError: no room, or not allowed."""
    with atomic.replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file (no pickles). TrainingError: damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except _READ_ERRORS as error:
        raise TrainingError(
            "cannot read weights", value=f"{path}: {error}", remedy="train again, or restore the file"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step. OSError: no room, or not allowed."""
    atomic.write(path, json.dumps(value, indent=1) + "\n")
