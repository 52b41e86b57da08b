"""Consoles for tables: as rich makes them at a terminal, and no blanks at a line's end in pipes and files.

NO_COLOR and TERM=dumb are heeded by rich itself.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_AT_THE_END = re.compile(r" +(?=\n)")


def console(stream: TextIO | None = None, **options: Any) -> Console:
    """A console that writes to ``stream`` (standard output unless told); options as rich takes them."""
    from rich.console import Console

    target = stream or sys.stdout
    return Console(file=target if target.isatty() else Trimmed(target), **options)  # type: ignore[arg-type]


class Trimmed:
    """A stream that leaves out blanks before a line's end; the rest goes through as it comes.

    >>> shown = Trimmed(sys.stdout)
    >>> for text in ("a  ", "b   ", "\\n", "  c \\n"):
    ...     _ = shown.write(text)
    a  b
      c
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._held = ""

    def write(self, text: str) -> int:
        """Write, but hold back blanks after which a line may end."""
        whole = self._held + text
        body = whole.rstrip(" ")
        self._held = whole[len(body) :]
        self.stream.write(_AT_THE_END.sub("", body))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self.stream.flush()

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    @property
    def encoding(self) -> str:
        """Of the stream below."""
        return self.stream.encoding or "utf-8"
