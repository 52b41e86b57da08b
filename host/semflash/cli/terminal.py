"""Text on its way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text fit for a terminal: parts of it may come from files, boards and USB devices."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.replace("\t", " "))
