"""Records of a monitor run as JSON lines: `session`, then `image` or `lost` for each image, then `end`.

Between them: `ber` (the injected rate changed), `disconnected` and `reconnected`. A stream may get the same
lines at the same time, and `progress` once per second beside them.

The file grows while the run goes on and every batch is flushed, so what was received survives any end of the
program. Fields: docs/monitor.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

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
    """Appends lines to `path` (replaced when it exists; None: no file) and to `stream`."""

    def __init__(self, path: Path | None, stream: TextIO | None = None) -> None:
        self._path, self._stream = path, stream
        try:
            self._file = path.open("w", encoding="utf-8") if path is not None else None
        except OSError as error:
            raise UsageError(
                f"cannot write records: {error.strerror}", value=path, remedy="name another file"
            ) from error

    @property
    def streams(self) -> bool:
        """Whether there is a stream."""
        return self._stream is not None

    def write(self, kind: str, values: dict[str, Any], *, to_file: bool = True) -> None:
        """One line. to_file: else the stream alone gets it.

        Raises:
            UsageError: the disk is full, or the file cannot be written any more.
            BrokenPipeError: nobody reads the stream any more.
        """
        wanted = to_file and self._file is not None
        if not wanted and self._stream is None:
            return
        line = json.dumps({"kind": kind, **values}, separators=(",", ":")) + "\n"
        if self._stream is not None:
            self._stream.write(line)
        if self._file is None or not to_file:
            return
        try:
            self._file.write(line)
        except OSError as error:
            raise self._failed(error) from error

    def flush(self) -> None:
        """Hand the lines to the operating system. Errors: as `write`."""
        if self._stream is not None:
            self._stream.flush()
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
