"""A file that keeps what comes while it comes. Where it cannot go on, the recording ends, not the run."""

from __future__ import annotations

import errno
from pathlib import Path

from semflash.atomic import Stream
from semflash.errors import StorageError, UsageError

#: What the disk answers when a file cannot grow; everything else concerns the path.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Recording:
    """Appends records, each with the system at once: what was recorded survives the end of the process.

    An old file is replaced when the first record is written. The first record that cannot be written ends the
    recording with what is whole; `failure` says why, and later records are left out.

    Args:
        head: The first record.
        what: The recording in words, for errors.
        flag: That names the file.

    Raises:
        UsageError: the path cannot be written, or another process is recording into it.
    """

    def __init__(self, path: Path, head: bytes, *, what: str, flag: str) -> None:
        self._path, self._what, self._flag = path, what, flag
        self.failure: StorageError | None = None
        self._stream: Stream | None = None
        try:
            self._stream = Stream(path, head)
        except OSError as error:
            if error.errno in _DISK:
                self._fail(error)
                return
            raise UsageError(
                f"cannot write {what}: {error.strerror}", value=path, remedy=f"name another file with {flag}"
            ) from error

    def append(self, record: bytes) -> None:
        """Write one record, whole or not at all."""
        if self._stream is None:
            return
        try:
            self._stream.append(record)
        except OSError as error:
            self._fail(error)
            self.close()

    def close(self) -> None:
        """Close the file."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            stream.close()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = StorageError(
                f"cannot go on writing {self._what}: {error.strerror}",
                value=self._path,
                remedy=f"make room, or name another file with {self._flag}",
            )
            self.failure.__cause__ = error
