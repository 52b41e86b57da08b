"""Single key presses of a terminal, without Enter; the terminal is as before after any exit.

Ctrl-C and Ctrl-Z stay signals. With :class:`OrderlyEnd` of :mod:`semflash.processes`, SIGTERM and SIGHUP end
the program through the usual ``finally`` blocks, so that the terminal is restored then too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TextIO

#: Escape sequences of the arrow keys, and the key each stands for.
_ARROWS = {b"A": "+", b"B": "-", b"C": "s"}
_READ_BYTES = 64


def is_usable(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that is this program's to use: it runs in the foreground there."""
    try:
        return stream.isatty() and os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def keys_of(data: bytes) -> list[str]:
    """The keys in what a terminal sent; arrows become +, - and s, other escape sequences nothing.

    >>> keys_of(b"+q"), keys_of(bytes([27]) + b"[A?")
    (['+', 'q'], ['+', '?'])
    """
    keys: list[str] = []
    position = 0
    while position < len(data):
        if data[position] == 0x1B and data[position + 1 : position + 2] in (b"[", b"O"):
            end = position + 2
            while end < len(data) and not 0x40 <= data[end] <= 0x7E:
                end += 1
            plain = end == position + 2
            arrow = _ARROWS.get(data[end : end + 1]) if plain else None
            keys += [arrow] if arrow else []
            position = end + 1
        else:
            keys += [chr(data[position])] if 0x20 <= data[position] < 0x7F else []
            position += 1
    return keys


class Keyboard:
    """Keys of a terminal while the ``with`` block lasts.

    Args:
        stream: the terminal; must be :func:`is_usable`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._fd = (stream or sys.stdin).fileno()
        self._before: list[Any] | None = None
        self._suspend_handler: Any = None
        self._suspend = False

    def read(self) -> list[str]:
        """Keys pressed since the last call; never waits. A terminal that is gone gives none."""
        try:
            if not select.select([self._fd], [], [], 0)[0]:
                return []
            return keys_of(os.read(self._fd, _READ_BYTES))
        except OSError:
            return []

    def suspend_if_asked(self, leave: Callable[[], None], come_back: Callable[[], None]) -> None:
        """After Ctrl-Z: restore the terminal, stop this program, and go on when it is continued."""
        if not self._suspend:
            return
        self._suspend = False
        leave()
        self._restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._cbreak()
        come_back()

    def __enter__(self) -> Keyboard:
        try:
            self._before = termios.tcgetattr(self._fd)
        except termios.error:
            self._before = None  # the terminal was closed: there are no keys
        if threading.current_thread() is threading.main_thread():
            self._suspend_handler = signal.signal(signal.SIGTSTP, self._on_suspend)
        self._cbreak()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._suspend_handler is not None:
            signal.signal(signal.SIGTSTP, self._suspend_handler)
            self._suspend_handler = None

    def _cbreak(self) -> None:
        if self._before is None:
            return
        try:
            tty.setcbreak(self._fd, termios.TCSADRAIN)
        except termios.error:
            self._before = None  # the terminal was closed: there are no keys, and nothing to restore

    def _restore(self) -> None:
        if self._before is None:
            return
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except termios.error:
            return  # the terminal was closed: nothing is left to restore

    def _on_suspend(self, number: int, frame: FrameType | None) -> None:
        self._suspend = True
