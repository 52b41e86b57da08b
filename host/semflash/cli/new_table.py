"""What `semflash new` found in a folder of pictures, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semflash.data.own.survey import remarks
from semflash.printable import printable

if TYPE_CHECKING:
    from semflash.data.own.division import Division
    from semflash.data.own.survey import Picture, Survey

#: With more classes than this only the smallest and the largest are shown.
CLASSES_SHOWN = 30


def survey_text(survey: Survey, division: Division) -> str:
    """Classes with their counts and sizes, then what the owner should know."""
    drawn = "" if division.seed is None else f" (drawn, seed {division.seed})"
    rows: list[tuple[str, ...]] = [("class", "pictures", "train", f"test{drawn}", "width x height")]
    counts = {name: [p for p in survey.pictures if p.label == name] for name in survey.classes}
    shown = list(counts)
    if len(shown) > CLASSES_SHOWN:
        shown = sorted(sorted(shown, key=lambda name: len(counts[name]))[: CLASSES_SHOWN // 2])
        shown += sorted(sorted(counts, key=lambda name: len(counts[name]))[-CLASSES_SHOWN // 2 :])
    for name in shown:
        rows.append(_row(name, counts[name], division))
    if len(shown) < len(counts):
        rows.append((f"... {len(counts) - len(shown):,} more classes", "", "", "", ""))
    rows.append(_row("all", list(survey.pictures), division))
    lines = table_text(rows)
    lines += [f"! {printable(remark)}" for remark in remarks(survey)]
    return "\n".join(lines)


def _row(name: str, pictures: list[Picture], division: Division) -> tuple[str, ...]:
    mine = {picture.path for picture in pictures}
    parts = [f"{sum(p.path in mine for p in part):,}" for part in (division.train, division.test)]
    return (printable(name)[:40], f"{len(pictures):,}", *parts, _sizes(pictures))


def _sizes(pictures: list[Picture]) -> str:
    low = min(pictures, key=lambda picture: picture.width * picture.height)
    high = max(pictures, key=lambda picture: picture.width * picture.height)
    first = f"{low.width}x{low.height}"
    return (
        first
        if (low.width, low.height) == (high.width, high.height)
        else f"{first} to {high.width}x{high.height}"
    )


def table_text(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows under each other, the first column to the left, numbers to the right, no blanks at the end."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines
