"""The raw bytes between this program and a board, as JSON lines: what a night's failure is understood from.

Each line has `s` (seconds since the port was opened), `to` ("board" or "host") and `hex` (the bytes).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from semflash.bridge.port import Port
from semflash.errors import UsageError


class RawRecorder:
    """A port that writes down what passes. It closes its file, not the port.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, port: Port, path: Path) -> None:
        self._port, self._began_s = port, time.monotonic()
        self.url = str(getattr(port, "url", None) or getattr(port, "name", ""))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="ascii")
        except OSError as error:
            raise UsageError(
                f"cannot keep the raw bytes: {error.strerror}", value=path, remedy="another folder: --record"
            ) from error

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        data = self._port.read(size)
        self._note("host", data)
        return data

    def write(self, data: bytes, /) -> int | None:
        self._note("board", data)
        return self._port.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, to: str, data: bytes) -> None:
        if data:
            seconds = round(time.monotonic() - self._began_s, 6)
            self._file.write(json.dumps({"s": seconds, "to": to, "hex": data.hex()}) + "\n")
