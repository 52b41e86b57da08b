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


def plain(value: float, digits: int = 4) -> str:
    """A number with so many significant digits, never with an exponent.

    >>> plain(0.00001), plain(2.5e-05, 2), plain(100.0, 3), plain(1234567.0, 3), plain(0.0)
    ('0.00001', '0.000025', '100', '1230000', '0')
    """
    from decimal import Decimal

    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    return format(Decimal(f"{value:.{digits}g}"), "f")
