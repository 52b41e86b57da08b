"""Records of a monitor run as JSON lines: `session`, then `image` or `lost` for each image, then `end`.

Between them: `ber` or `snr` (the injected level of that quality changed), `disconnected` and `reconnected`. A
stream may get the same lines at the same time, and `progress` once per second beside them.

Each line is with the system as soon as it is written, so what was labelled survives any end of the program; a
disk that is full ends the records, not the run. Fields: docs/monitor.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from semflash.errors import StorageError, UsageError
from semflash.recording import Recording

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
    """Appends lines to `path` (replaced by the first line; None: no file) and to `stream`.

    Attributes:
        failures: why lines could not be kept any more; those of the file and of the stream.
    """

    def __init__(self, path: Path | None, stream: TextIO | None = None) -> None:
        self._path, self._stream = path, stream
        self._file: Recording | None = None
        self.failures: list[StorageError] = []

    @property
    def streams(self) -> bool:
        """Whether there is a stream."""
        return self._stream is not None

    def write(self, kind: str, values: dict[str, Any], *, to_file: bool = True) -> None:
        """One line. to_file: else the stream alone gets it.

        Raises:
            UsageError: the first line, and the file cannot be made.
            BrokenPipeError: nobody reads the stream any more.
        """
        wanted = to_file and self._path is not None
        if not wanted and self._stream is None:
            return
        line = json.dumps({"kind": kind, **values}, separators=(",", ":")) + "\n"
        self._to_stream(line)
        if wanted:
            self._to_file(line.encode())

    def _to_file(self, line: bytes) -> None:
        if self._file is None:
            assert self._path is not None
            self._file = Recording(self._path, line, what="records", flag="--record")
        else:
            self._file.append(line)
        failure = self._file.failure
        if failure is not None and failure not in self.failures:
            self.failures.append(failure)

    def _to_stream(self, line: str) -> None:
        """Write to the stream, and flush it where `line` is empty."""
        if self._stream is None:
            return
        try:
            if line:
                self._stream.write(line)
            else:
                self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._stream = None
            self.failures.append(
                StorageError(
                    f"cannot go on printing records: {error.strerror}", remedy="make room where they go"
                )
            )

    def flush(self) -> None:
        """Hand the lines of the stream to the operating system. BrokenPipeError: nobody reads it."""
        self._to_stream("")

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
