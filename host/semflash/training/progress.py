"""How training shows where it stands: one bar per stage on a terminal, one plain line per epoch elsewhere, or
nothing. Both say how long it will take, and which figure would be chance."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from semflash.outputs.chance import REMEDY

#: Figures of an epoch that are compared with chance: accuracy of the task network and, at BER 0, of a codec.
COMPARED = ("val_accuracy", "val_0")


class Progress:
    """Writes to a stream (standard error unless told); ``quiet`` writes nothing.

    Attributes:
        chance: What guessing gives on the validation split, a share, 0..1; None: it is not shown.
        codec_learnt: No codec was found to be no better than guessing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.bar = not quiet and self.stream.isatty()
        self.chance: float | None = None
        self.codec_learnt = True
        self._live: _StageBar | None = None

    @contextmanager
    def epoch(self, stage: str, epoch: int, epochs: int, steps: int) -> Iterator[EpochBar]:
        """One epoch (``epoch`` counts from 0) of the stage's bar."""
        if not self.bar:
            yield EpochBar()
            return
        if self._live is None or self._live.stage != stage:
            self.close()
            self._live = _StageBar(self.stream, stage, epoch * steps, epochs * steps)
        try:
            yield self._live
        except BaseException:
            self.close()
            raise
        if epoch + 1 == epochs:
            self.close()

    def close(self) -> None:
        """Take the bar off the terminal, where there is one."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def expect(self, stage: str, steps: int, seconds: float) -> None:
        """Say how long a stage will take, as soon as a few of its steps have shown it."""
        self.say(f"{stage}: {steps:,} steps, {in_words(seconds)} to go")

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
        figures = "  ".join(f"{key} {value}{self._beside(key)}" for key, value in shown.items())
        # The first epoch builds the graph, too, and says nothing about the others.
        left = (epochs - record["epoch"]) * record.get("seconds", 0.0) if record["epoch"] > 1 else 0.0
        still = f"  {in_words(left)} left" if left else ""
        if self._live is not None:
            self._live.figures = " ".join(f"{key} {shown[key]}" for key in COMPARED if key in shown)
        self.say(f"{record['stage']} {record['epoch']}/{epochs}  {figures}{still}")

    def _beside(self, key: str) -> str:
        if self.chance is None or key not in COMPARED:
            return ""
        return f" (chance {self.chance:.2g})"

    def warn(self, text: str) -> None:
        """A line that is shown in any case, on standard error where nothing else is to be shown."""
        self._print(f"warning: {text}")

    def warn_of_codec(self, words: str) -> None:
        """The codec has learnt nothing, as these words say; export will refuse it."""
        self.codec_learnt = False
        self.warn(f"the codec has learnt nothing: {words}; {REMEDY}")

    def say(self, text: str) -> None:
        """Any other line."""
        if not self.quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.above(text)
        else:
            print(text, file=self.stream, flush=True)


class EpochBar:
    """Moves on by one batch at each :meth:`step`; without a terminal it does nothing."""

    def step(self, loss: float) -> None:
        """One batch done; ``loss`` is shown."""


class _StageBar(EpochBar):
    """A bar over all steps of a stage, with the time that is left."""

    def __init__(self, stream: TextIO, stage: str, done: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.stage, self.figures = stage, ""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
            TimeRemainingColumn(),
        )
        self._rich = RichProgress(*columns, console=Console(file=stream), transient=True)
        self._task = self._rich.add_task(stage, total=total, completed=done)
        self._rich.start()

    def step(self, loss: float) -> None:
        """One batch done."""
        text = f"{self.stage}  loss {loss:.4f}  {self.figures}".rstrip()
        self._rich.update(self._task, advance=1, description=text)

    def above(self, text: str) -> None:
        """A line above the bar."""
        self._rich.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """End the bar."""
        self._rich.stop()


def in_words(seconds: float) -> str:
    """A duration for people.

    >>> in_words(3.2), in_words(89), in_words(400), in_words(9000)
    ('about 3 s', 'about 89 s', 'about 7 min', 'about 2.5 h')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


class WorkBar:
    """Moves on by what was done; without a terminal it does nothing."""

    def __init__(self, rich: Any = None, task: Any = None) -> None:
        self._rich, self._task = rich, task

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._rich is not None:
            self._rich.update(self._task, advance=count)
