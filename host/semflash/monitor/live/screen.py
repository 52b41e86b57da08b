"""The full-screen live view: what fits is shown, redrawn a few times per second, and gone at the end."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from semflash.monitor.live.keyboard import Keyboard, is_usable
from semflash.monitor.live.picture import lines
from semflash.monitor.progress import Event, Progress, View
from semflash.processes.orderly_end import OrderlyEnd

if TYPE_CHECKING:
    from rich.live import Live

    from semflash.monitor.live.controls import Controls


class LiveScreen(View):
    """Draws on the alternate screen of a terminal and reads its keys.

    Args:
        output: the terminal. source: where keys come from; without a usable one there are none.
    """

    def __init__(self, output: TextIO | None = None, source: TextIO | None = None) -> None:
        from rich.console import Console

        self._console = Console(file=output or sys.stdout, highlight=False)
        source = source or sys.stdin
        self._keyboard = Keyboard(source) if is_usable(source) else None
        self._orderly = OrderlyEnd()
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._notes: list[Event] = []

    def __enter__(self) -> LiveScreen:
        self._orderly.__enter__()
        if self._keyboard is not None:
            self._keyboard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._keyboard is not None:
            self._keyboard.__exit__(kind, error, trace)
        self._orderly.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Redraw in the size that the terminal has now."""
        from rich.console import Group

        self._progress = progress
        if self._live is None:
            self._start()
        assert self._live is not None
        width, height = self._console.size
        ascii_only = self._console.options.ascii_only
        shown = lines(progress, width, height, keys=self._keyboard is not None, ascii_only=ascii_only)
        self._live.update(Group(*shown), refresh=True)

    def event(self, progress: Progress, event: Event) -> None:
        """Kept: the screen will be gone, so :meth:`close` prints what was lost."""
        if event.kind != progress.bundle.quality.name:
            self._notes.append(event)
        self.update(progress)

    def poll(self, controls: Controls) -> None:
        """Pass keys on; redraw at once where there was one."""
        if self._keyboard is None:
            return
        self._keyboard.suspend_if_asked(self._stop, self._start)
        keys = self._keyboard.read()
        for key in keys:
            controls.press(key)
        if keys and self._progress is not None:
            self._progress.help, self._progress.paused = controls.help, controls.paused
            self.update(self._progress)

    def close(self) -> None:
        """Back to the ordinary screen; says there what the cable did."""
        self._stop()
        for event in self._notes:
            self._console.print(f"{event.seconds:8.1f} s  {event.text}", markup=False)
        self._notes = []

    def _start(self) -> None:
        from rich.live import Live

        # Nothing of ours is printed while it is up, so stdout and stderr stay what they are.
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
