"""What is shown while a data set is composed: a bar with the time that is left, at a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def told(what: str, total: int, stream: TextIO | None = None) -> Iterator[Callable[[int], None]]:
    """A bar for `total` images on a stream (standard error unless told); call what it gives with the number
    of images that were made since. Elsewhere than at a terminal one line says what is done."""
    shown = stream or sys.stderr
    if not shown.isatty():
        print(f"{what}: {total:,} images, once", file=shown, flush=True)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(file=shown), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
