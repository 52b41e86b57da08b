"""SIGTERM and SIGHUP end a program as Ctrl-C does: through its ``finally`` blocks."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came; the exit code is 128 + its number, as a shell has it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class OrderlyEnd:
    """While the ``with`` block lasts, the first SIGTERM or SIGHUP raises :class:`Terminated`.

    Further ones are ignored, so that they do not interrupt the cleaning up: ``timeout`` sends two. What is
    ignored already (nohup) stays so.

    Attributes:
        came: what was raised; None: nothing yet.
    """

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Any] = {}
        self.came: Terminated | None = None

    def __enter__(self) -> OrderlyEnd:
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.came is None:
            self.came = Terminated(number)
            raise self.came
