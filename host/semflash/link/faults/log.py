"""Every fault that was put on a line: counted, and as a JSON line in a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from semflash.errors import StorageError
from semflash.recording import Recording


class FaultLog:
    """Counts faults by (direction, kind); with `path`, also one line each: seconds, direction, offset, kind.

    `offset` counts the bytes that the sender had given to the line in this direction before.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._file = (
            Recording(path, b"", what="the log of faults", flag="--fault-log") if path is not None else None
        )

    @property
    def failure(self) -> StorageError | None:
        """Why the file ended before the run; None: it is whole so far."""
        return self._file.failure if self._file is not None else None

    def add(self, seconds: float, direction: str, offset: int, kind: str, **more: Any) -> None:
        """One fault."""
        self.counts[direction, kind] += 1
        if self._file is not None:
            line = {"seconds": round(seconds, 6), "direction": direction, "offset": offset, "kind": kind}
            self._file.append(json.dumps(line | more).encode() + b"\n")

    @property
    def total(self) -> int:
        """All faults so far."""
        return self.counts.total()

    def by_name(self) -> dict[str, int]:
        """Counts with names like up.flip."""
        return {f"{direction}.{kind}": count for (direction, kind), count in sorted(self.counts.items())}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> FaultLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
