"""How training shows where it stands: a bar on a terminal, one plain line per epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class Progress:
    """Writes to a stream (standard error unless told); ``quiet`` writes nothing."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.bar = not quiet and self.stream.isatty()

    @contextmanager
    def epoch(self, stage: str, epoch: int, epochs: int, steps: int) -> Iterator[EpochBar]:
        """A bar for one epoch (``epoch`` counts from 0)."""
        if not self.bar:
            yield EpochBar()
            return
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        with RichProgress(console=Console(file=self.stream), transient=True) as rich:
            task = rich.add_task(f"{stage} {epoch + 1}/{epochs}", total=steps)
            yield EpochBar(rich, task)

    @contextmanager
    def work(self, what: str, total: int, done: int = 0) -> Iterator[WorkBar]:
        """A bar with the time that is left, for `total` images of which `done` are done already."""
        if not self.bar:
            yield WorkBar()
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        with RichProgress(*columns, console=Console(file=self.stream), transient=True) as rich:
            yield WorkBar(rich, rich.add_task(what, total=total, completed=done))

    def line(self, record: dict[str, Any], epochs: int) -> None:
        """One line for a finished epoch."""
        shown = {key: value for key, value in record.items() if key not in ("stage", "epoch")}
        figures = "  ".join(f"{key} {value}" for key, value in shown.items())
        self.say(f"{record['stage']} {record['epoch']}/{epochs}  {figures}")

    def warn(self, text: str) -> None:
        """A line that is shown in any case, on standard error where nothing else is to be shown."""
        print(f"warning: {text}", file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """Any other line."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)


class EpochBar:
    """Moves on by one batch at each :meth:`step`; without a terminal it does nothing."""

    def __init__(self, rich: Any = None, task: Any = None) -> None:
        self._rich, self._task = rich, task

    def step(self, loss: float) -> None:
        """One batch done; ``loss`` is shown."""
        if self._rich is not None:
            self._rich.update(self._task, advance=1, description=f"loss {loss:.4f}")


class WorkBar:
    """Moves on by what was done; without a terminal it does nothing."""

    def __init__(self, rich: Any = None, task: Any = None) -> None:
        self._rich, self._task = rich, task

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._rich is not None:
            self._rich.update(self._task, advance=count)
