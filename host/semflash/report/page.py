"""What a report consists of, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table: caption, head and rows of text; the first column names the row. words: no numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        name: of its file, without suffix.
        caption: shown below.
        alt: what it shows, for those who do not see it.
        draw: makes a matplotlib figure; called once per format.
        wide: over the whole width of the page.
    """

    name: str
    caption: str
    alt: str
    draw: Callable[[], Any]
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs, then charts, then tables (folded: behind a click).

    Attributes:
        anchor: its id. short: its name in the bar on top.
    """

    anchor: str
    short: str
    title: str
    text: Sequence[str] = ()
    charts: Sequence[Chart] = field(default=())
    tables: Sequence[Table] = field(default=())
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """The report."""

    title: str
    lead: str
    sections: Sequence[Section]
    foot: str

    def charts(self) -> list[Chart]:
        """All charts, in order."""
        return [chart for section in self.sections for chart in section.charts]
