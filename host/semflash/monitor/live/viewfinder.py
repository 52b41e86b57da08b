"""What the board sees, in the terminal, and the keys that store it under a label."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from semflash.data.own.album import Album
from semflash.monitor.collecting import Collected, Pixels
from semflash.monitor.live.keyboard import Keyboard
from semflash.monitor.live.thumbnail import beside, shades
from semflash.outputs.output import Picture

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

#: Labels have the keys 1 to 9.
LABELS_MAX = 9
_NAP_S = 0.03
#: Lines below the picture; the narrowest and the widest picture.
_AROUND, _LEAST, _WIDEST = 4, 8, 64


class Viewfinder:
    """Shows each picture as it comes; a key stores the one that is shown.

    1..9 store it under that label, q ends. Space holds it, or the next one where none is shown, until a key
    says what it is.

    Args:
        labels: at most :data:`LABELS_MAX`. keyboard: of the terminal. output: the terminal.
    """

    def __init__(
        self, album: Album, labels: Sequence[str], keyboard: Keyboard, output: TextIO | None = None
    ) -> None:
        from rich.console import Console

        self._album, self._labels, self._keyboard = album, list(labels), keyboard
        self._console = Console(file=output, highlight=False)
        self._live: Live | None = None
        self._shown: Pixels | None = None
        self._held = self._ended = False
        self._said = ""

    def __enter__(self) -> Viewfinder:
        self._keyboard.__enter__()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._keyboard.__exit__(kind, error, trace)

    def wants(self, found: Collected) -> bool:
        """Act on the keys that were pressed; while a picture is held, wait for the next one."""
        self._act(found)
        while self._held and self._shown is not None and not self._ended:
            time.sleep(_NAP_S)
            self._act(found)
        return not self._ended

    def see(self, pixels: Pixels, found: Collected) -> None:
        """Keys that were pressed meanwhile are about the picture before; then show this one."""
        self._act(found)
        if not self._ended and (self._shown is None or not self._held):
            self._shown = pixels
            self._draw(found)

    def _act(self, found: Collected) -> None:
        self._keyboard.suspend_if_asked(self._stop, self._start)
        keys = self._keyboard.read()
        for key in keys:
            self.press(key, found)
        if keys:
            self._draw(found)

    def press(self, key: str, found: Collected) -> None:
        """What a key does."""
        if key == "q":
            self._ended = True
        elif key == " ":
            self._held = not self._held  # the next one, where none is shown
        elif key in "123456789" and int(key) <= len(self._labels) and self._shown is not None:
            found.add(self._album, self._labels[int(key) - 1], self._shown)
            self._said = f"stored {found.last}"
            self._shown, self._held = None, False  # a second press stores no second copy

    def lines(self, found: Collected, width: int, height: int, *, ascii_only: bool) -> list[RenderableType]:
        """What is drawn."""
        from rich.text import Text

        shown: list[RenderableType] = []
        columns = 0
        if self._shown is not None:
            tall, wide, _ = self._shown.shape
            columns = min(_WIDEST, width - 2, 2 * (height - _AROUND - 1) * wide // tall)
        if self._shown is not None and columns >= _LEAST:
            picture = [Picture("held" if self._held else "the board sees", self._shown)]
            shown += shades(picture, columns) if ascii_only else beside(picture, columns)
        keys = "  ".join(
            f"{number} {label} {self._album.count(label):,}" for number, label in enumerate(self._labels, 1)
        )
        spoilt = f", {found.spoilt:,} did not come whole" if found.spoilt else ""
        shown += [
            Text(keys[: width - 1]),
            Text(f"{sum(found.stored.values()):,} stored{spoilt}"[: width - 1]),
            Text("1-9 store it - space hold it - q end"[: width - 1], "dim"),
            Text(self._said[: width - 1], "dim"),
        ]
        return shown

    def _draw(self, found: Collected) -> None:
        from rich.console import Group

        if self._live is not None:
            width, height = self._console.size
            ascii_only = self._console.options.ascii_only
            self._live.update(Group(*self.lines(found, width, height, ascii_only=ascii_only)), refresh=True)

    def _start(self) -> None:
        from rich.live import Live

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
