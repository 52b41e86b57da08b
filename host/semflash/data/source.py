"""What a data set is known by: its name, or for a folder its path and a digest of its list of files.

A bundle's record keeps it (``recipe.data``), so that later commands use the data set that the bundle was
trained on and no other. The classes are in the bundle's contract.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from semflash.errors import DatasetError

Kind = Literal["named", "folder", "coco", "voc"]


class DataSource(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where images came from.

    Attributes:
        kind: ``named`` for a data set that semflash knows by name, else the layout of a folder.
        name: the name, or the absolute path, where one's home directory is ``~`` (:func:`written`).
        files: number of files of a folder that belong to the data set, unreadable ones included.
        sha256: over their names and sizes (:func:`listing_sha256`); empty for a named data set.
        skip_bad: files that cannot be read were left out.
    """

    kind: Kind
    name: Annotated[str, Meta(min_length=1, max_length=4096)]
    files: Annotated[int, Meta(ge=0, le=1 << 32)] = 0
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    skip_bad: bool = False

    def plain(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def source_of(values: Any) -> DataSource | None:
    """What :meth:`DataSource.plain` wrote, out of a file that may be anybody's; None: it is no such thing."""
    try:
        return msgspec.convert(values, DataSource)
    except msgspec.ValidationError:
        return None


def written(folder: Path) -> str:
    """Absolute path of a folder as it is recorded: without the name of the user whose home it is in."""
    absolute = folder.absolute()
    try:
        return f"~/{absolute.relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):  # elsewhere; nobody's home
        return str(absolute)


def place(name: str) -> Path:
    """The folder that :func:`written` wrote, or any other path as it is."""
    return Path.home() / name[2:] if name.startswith("~/") else Path(name)


def check_known(source: DataSource, known: DataSource | None) -> None:
    """Refuse a folder that is not the one that was recorded; ``known`` None: none was.

    Raises:
        DatasetError: its list of files is another.
    """
    if known is None or (source.kind, source.sha256) == (known.kind, known.sha256):
        return
    kinds = "" if source.kind == known.kind else f", laid out as {source.kind}, then as {known.kind}"
    raise DatasetError(
        "the data set is not the one of the training any more: files came, went or changed in size",
        value=f"{source.name}: {source.files:,} files, {known.files:,} then{kinds}",
        remedy=f"put it back, or take it as it is now: --dataset {source.name}",
    )


def listing_sha256(root: Path, files: Iterable[Path]) -> tuple[int, str]:
    """Number of files, and SHA-256 (hex) over their paths below ``root`` and sizes, in sorted order.

    A file that cannot be looked at counts with size -1.
    """
    names = sorted((os.fsencode(path.relative_to(root).as_posix()), _size(path)) for path in files)
    digest = hashlib.sha256()
    for name, size in names:
        digest.update(b"%b\0%d\n" % (name, size))
    return len(names), digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
