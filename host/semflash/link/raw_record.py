"""Raw recordings of a line: every byte both ways with its time, as the host saw it, and notes beside them.

    file    = "SFRAW1\\n" u32-length header record*
    header  = JSON object; at most 64 KiB
    record  = u8 kind (0 from the device, 1 to it, 2 note: JSON) u64 microseconds since the start, u32
    length, bytes

Little-endian. A reader takes no more than MAX_RECORD bytes at a time whatever the file says, and a file
that was cut off gives what is whole. Notes tell of the answer to a request: when it comes (index, label,
injected BER), and again with the label that was read.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from semflash.errors import StorageError, UsageError
from semflash.link.port import Port
from semflash.recording import Recording

MAGIC = b"SFRAW1\n"
MAX_HEADER = 65_536
MAX_RECORD = 65_536
FROM_DEVICE, TO_DEVICE, NOTE = 0, 1, 2
_HEAD = struct.Struct("<BQI")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class RawRecord:
    """One record. kind: FROM_DEVICE, TO_DEVICE or NOTE; seconds since the recording began."""

    kind: int
    seconds: float
    data: bytes


class RawRecorder:
    """Writes a recording; an existing file is replaced. Each record is with the system when `add` returns.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(
        self, path: Path, header: dict[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._began = clock, clock()
        data = json.dumps({"version": 1, **header}).encode()
        if len(data) > MAX_HEADER:
            raise ValueError(f"a header of {len(data)} bytes")
        head = MAGIC + _LENGTH.pack(len(data)) + data
        self._file = Recording(path, head, what="the raw recording", flag="--record-raw")

    @property
    def failure(self) -> StorageError | None:
        """Why the recording ended before the run; None: it is whole so far."""
        return self._file.failure

    def add(self, kind: int, data: bytes) -> None:
        """Bytes as they were read or written."""
        stamp = round((self._clock() - self._began) * 1e6)
        for start in range(0, len(data), MAX_RECORD):
            part = data[start : start + MAX_RECORD]
            self._file.append(_HEAD.pack(kind, stamp, len(part)) + part)

    def note(self, values: dict[str, Any]) -> None:
        """Something worth knowing beside the bytes."""
        self.add(NOTE, json.dumps(values, separators=(",", ":")).encode())

    def __enter__(self) -> RawRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class RecordingPort:
    """A port that writes down what passes."""

    def __init__(self, port: Port, recorder: RawRecorder) -> None:
        self._port, self._recorder = port, recorder
        self.url = str(getattr(port, "url", None) or getattr(port, "name", ""))

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        data = self._port.read(size)
        self._recorder.add(FROM_DEVICE, data)
        return data

    def write(self, data: bytes, /) -> int | None:
        self._recorder.add(TO_DEVICE, data)
        return self._port.write(data)

    def close(self) -> None:
        self._port.close()


class RawReader:
    """Reads a recording.

    Attributes:
        header: its JSON object. truncated: after the last record, whether the file was cut off.

    Raises:
        UsageError: no such file, or not a recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.truncated = False
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise UsageError(f"cannot read the recording: {error.strerror}", value=path) from error
        try:
            self.header = self._header()
        except BaseException:
            self._file.close()
            raise

    def _header(self) -> dict[str, Any]:
        start = self._file.read(len(MAGIC) + _LENGTH.size)
        if not start.startswith(MAGIC) or len(start) < len(MAGIC) + _LENGTH.size:
            raise self._refused("it is no raw recording of this version")
        (length,) = _LENGTH.unpack(start[len(MAGIC) :])
        if length > MAX_HEADER:
            raise self._refused(f"its header claims {length:,} bytes")
        header = parse_note(self._file.read(length))
        if header is None or header.get("version") != 1:
            raise self._refused("its header is no JSON object of version 1")
        return header

    def records(self) -> Iterator[RawRecord]:
        """Every whole record.

        Raises:
            UsageError: a record of an unknown kind or size.
        """
        while head := self._file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                break
            kind, stamp, length = _HEAD.unpack(head)
            if kind > NOTE or length > MAX_RECORD:
                raise self._refused(f"a record of kind {kind} claims {length:,} bytes")
            data = self._file.read(length)
            if len(data) < length:
                break
            yield RawRecord(kind, stamp / 1e6, data)
        else:
            return
        self.truncated = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> RawReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refused(self, what: str) -> UsageError:
        return UsageError(
            f"the recording cannot be read: {what}",
            value=self._path,
            remedy="record it again: semflash monitor --record-raw FILE",
        )


def parse_note(data: bytes) -> dict[str, Any] | None:
    """The JSON object of a note or header; None: it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
