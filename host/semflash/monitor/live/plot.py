"""Curves of text: braille dots, two by four in a character, or plain ASCII where the terminal has no more."""

from __future__ import annotations

from collections.abc import Sequence

Values = Sequence[float | None]

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row from top][column]
_LEVELS = " .:-=+*#%@"


def curve(values: Values, width: int, height: int, low: float, high: float) -> list[str]:
    """A curve in braille, newest value at the right edge.

    Args:
        values: the last 2 x width are drawn; None leaves a gap. Those beyond low..high lie on the edge.
        width, height: in characters.

    Returns:
        height strings of `width` characters, the top one first.

    >>> curve([0.0, 0.0, 1.0, 1.0], 2, 1, 0.0, 1.0)
    ['⣀⠏']
    """
    cells = [[0] * width for _ in range(height)]
    shown = list(values)[-2 * width :]
    start = 2 * width - len(shown)
    last: int | None = None
    for position, value in enumerate(shown, start):
        if value is None:
            last = None
            continue
        row = _row(value, 4 * height, low, high)
        # A jump is drawn as a stroke, so that the curve holds together.
        rows = range(min(row, last + 1), max(row, last - 1) + 1) if last is not None else (row,)
        for dot in rows:
            cells[dot // 4][position // 2] |= _DOTS[dot % 4][position % 2]
        last = row
    return ["".join(chr(_BRAILLE | cell) for cell in line) for line in cells]


def spark(values: Values, width: int, low: float, high: float) -> str:
    """One line of ASCII: darker is higher.

    >>> spark([0.0, None, 0.5, 1.0], 4, 0.0, 1.0)
    '. +@'
    """
    shown = list(values)[-width:]
    marks = []
    for value in shown:
        level = 0 if value is None else len(_LEVELS) - 1 - _row(value, len(_LEVELS) - 1, low, high)
        marks.append(_LEVELS[level])
    return "".join(marks).rjust(width)


def _row(value: float, rows: int, low: float, high: float) -> int:
    """Row from the top, 0 .. rows - 1."""
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return min(rows - 1, int((1.0 - share) * rows))
