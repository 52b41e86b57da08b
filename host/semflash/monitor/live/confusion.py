"""What was taken for what so far: rows are the truth, each cell says how many of ten of its row it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

    from semflash.monitor.progress import Progress

#: With more classes the mistakes made most often are named instead.
CLASSES_MAX = 12
_NAME, _CELL = 12, 2
#: Columns between two blocks.
GAP = 4
_MISTAKES, _LEAST = 6, 18


def confusion(progress: Progress, width: int) -> list[Text]:
    """The confusion so far in at most `width` columns; nothing where readings are no classes.

    A cell is the share of its row in tenths, a dot where it is less than a twentieth and not nothing.
    """
    from rich.text import Text

    counts, names = progress.confusion, progress.bundle.contract.class_names
    if not counts:
        return []
    if len(names) > CLASSES_MAX or width < _NAME + 1 + _CELL * len(names):
        return mistakes(progress, width) if width >= _LEAST else []
    table = np.zeros((len(names), len(names)), np.int64)
    for (truth, read), count in counts.items():
        table[truth, read] = count
    heads = "".join(name[:1].rjust(_CELL) for name in names)
    shown = [Text("confusion, tenths".ljust(_NAME + 1)[: _NAME + 1] + heads, "dim")]
    for truth, row in enumerate(table):
        text = Text(names[truth][:_NAME].ljust(_NAME + 1), "dim")
        for read, count in enumerate(row.tolist()):
            style = "green" if read == truth else "red"
            text.append(_tenths(count, int(row.sum())).rjust(_CELL), style)
        shown.append(text)
    return shown


def mistakes(progress: Progress, width: int) -> list[Text]:
    """Which class was taken for which other one most often."""
    from rich.text import Text

    names = progress.bundle.contract.class_names
    wrong = [(count, *pair) for pair, count in progress.confusion.items() if pair[0] != pair[1]]
    wrong.sort(key=lambda one: (-one[0], one[1:]))
    shown = [Text("taken for another", "dim")] if wrong else []
    for count, truth, read in wrong[:_MISTAKES]:
        shown.append(Text(f"{count:>5,}  {names[truth]} as {names[read]}"[:width]))
    return shown


def side_by_side(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Both blocks in one, where they fit into `width`; else the left one alone, or what there is."""
    from rich.text import Text

    if not left or not right:
        return list(left or right)
    edge = max(one.cell_len for one in left) + GAP
    if edge + max(one.cell_len for one in right) > width:
        return list(left)
    shown = []
    for number in range(max(len(left), len(right))):
        text = left[number].copy() if number < len(left) else Text()
        text.append(" " * (edge - text.cell_len))
        shown.append(Text.assemble(text, right[number]) if number < len(right) else text)
    return shown


def _tenths(count: int, total: int) -> str:
    """
    >>> [_tenths(count, 100) for count in (0, 1, 5, 49, 96, 100)]
    ['', '.', '1', '5', '*', '*']
    """
    share = round(10 * count / total + 1e-9) if total else 0
    return "*" if share >= 10 else str(share) if share else "." if count else ""
