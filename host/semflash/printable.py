"""Text on its way to terminals and files: parts of it may come from bundles, boards and USB devices."""

from __future__ import annotations


def printable(text: str) -> str:
    """One line fit for a terminal: what is no printable character becomes a question mark.

    >>> printable("sky\\x1b[2J\\n")
    'sky?[2J?'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


def printable_lines(text: str) -> str:
    """The same of several lines; tabs become spaces."""
    return "\n".join(printable(line) for line in text.replace("\t", " ").split("\n"))
