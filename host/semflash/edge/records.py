"""Records of a monitor run as JSON lines: `session`, then `image` or `lost` for each image, then `end`.

The file grows while the run goes on and every batch is flushed, so what was received survives any end of the
program. Fields: docs/monitor.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from semflash.errors import UsageError

FORMAT = "semflash-records"
VERSION = 1


def check_writable(path: Path, flag: str = "--record") -> None:
    """Whether the file that `flag` names can be written; asked before the work that fills it.

    Raises:
        UsageError: the folder does not exist or is read-only, or the path is a folder.
    """
    if path.is_dir():
        raise UsageError(f"{flag} names a folder", value=path, remedy="name a file")
    if not path.parent.is_dir():
        raise UsageError(f"the folder for {flag} does not exist", value=path.parent, remedy="make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"the file of {flag} cannot be written", value=path, remedy="name another file")


class RecordWriter:
    """Appends lines to `path` (replaced when it exists); None: writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            self._file = path.open("w", encoding="utf-8") if path is not None else None
        except OSError as error:
            raise UsageError(
                f"cannot write records: {error.strerror}", value=path, remedy="name another file"
            ) from error

    def write(self, kind: str, values: dict[str, Any]) -> None:
        """One line.

        Raises:
            UsageError: the disk is full, or the file cannot be written any more.
        """
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"kind": kind, **values}, separators=(",", ":")) + "\n")
        except OSError as error:
            raise self._failed(error) from error

    def flush(self) -> None:
        """Hand the lines to the operating system. Errors: as `write`."""
        if self._file is None:
            return
        try:
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as failure:
            raise self._failed(failure) from failure

    def _failed(self, error: OSError) -> UsageError:
        return UsageError(
            f"cannot go on writing records: {error.strerror}",
            value=self._path,
            remedy="make room, or name another file with --record",
        )
