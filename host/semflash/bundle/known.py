"""Bundles that this installation exported, ships or has tried: they need no first run in a child.

One small file per bundle hash in the user's state folder. Nothing secret, nothing precious: where the folder
is lost, cannot be written or belongs to somebody else, bundles count as unknown and are tried again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from pathlib import Path

from semflash import atomic
from semflash.bundle.reader import zoo_dir
from semflash.bundle.schema import CODEC_FILE, CODEC_JSON_MAX_BYTES

EXPORTED = "exported"
_FOLDER = "known-bundles"
_HASH = re.compile(r"[0-9a-f]{64}")
_RUNTIMES = ("ai-edge-litert", "tflite-runtime")


def folder() -> Path | None:
    """``known-bundles`` in $SEMFLASH_STATE_DIR, else in $XDG_STATE_HOME/semflash or ~/.local/state/semflash.

    None: there is no home. The folder need not exist.
    """
    if override := os.environ.get("SEMFLASH_STATE_DIR"):
        return Path(override) / _FOLDER
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "semflash" / _FOLDER
    try:
        return Path.home() / ".local" / "state" / "semflash" / _FOLDER
    except RuntimeError:
        return None


def is_known(hash_hex: str) -> bool:
    """Whether a bundle comes with semflash, was exported here, or was tried here with this LiteRT."""
    if not _HASH.fullmatch(hash_hex):
        return False
    place = _own(folder())
    if place is not None:
        with contextlib.suppress(OSError):
            how = (place / hash_hex).read_text(encoding="utf-8").strip()
            return how == EXPORTED or how == _tried()
    return hash_hex in _shipped()


def remember(hash_hex: str, *, exported: bool = False) -> None:
    """Note a bundle; where that cannot be written, it is tried again next time."""
    place = folder()
    if place is None or not _HASH.fullmatch(hash_hex):
        return
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _own(place) is None:
            return
        atomic.write(place / hash_hex, (EXPORTED if exported else _tried()) + "\n", durable=False)


def _own(place: Path | None) -> Path | None:
    """The folder, if nobody else can write into it."""
    if place is None:
        return None
    try:
        info = place.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022
    return place if mine else None


def _tried() -> str:
    """A try holds for the runtime that it was made with."""
    from importlib import metadata  # slow to import, and not needed for bundles of the zoo

    for name in _RUNTIMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"tried with {name} {metadata.version(name)}"
    return "tried"


def _shipped() -> set[str]:
    """Hashes of the bundles that come with semflash."""
    found: set[str] = set()
    for path in zoo_dir().glob(f"*/{CODEC_FILE}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            found.add(json.loads(file.read(CODEC_JSON_MAX_BYTES))["digest"]["contract"])
    return found
