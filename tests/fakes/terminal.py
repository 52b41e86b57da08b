"""A program in a pseudo terminal, as a person has it: keys in, the visible screen out."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_CSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HOME = "\x1b[H"
ALTERNATE_ON, ALTERNATE_OFF, CURSOR_ON = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


def _environment() -> dict[str, str]:
    """Without the size of another terminal, which readline leaves in the environment of a test process."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """Runs a command with a terminal of its own as its session's controlling one."""

    def __init__(self, command: Sequence[str], *, columns: int = 100, rows: int = 30, **env: str) -> None:
        self._leader, self.follower = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.follower)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.process = subprocess.Popen(
            command,
            stdin=self.follower,
            stdout=self.follower,
            stderr=self.follower,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**_environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8", **env},
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def screen(self) -> str:
        """What stands there now: everything since the last whole redraw, without colours."""
        self._read(0.0)
        return _CSI.sub("", self.text.rsplit(_HOME, 1)[-1].replace("\r", ""))

    def wait_for(self, pattern: str, timeout_s: float = 20.0) -> str:
        """The screen once it shows `pattern`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if re.search(pattern, screen := self.screen()):
                return screen
            if self.process.poll() is not None and not re.search(pattern, self.screen()):
                break
            self._read(0.05)
        raise AssertionError(f"the screen never showed {pattern!r}, but:\n{self.screen()}")

    def end(self, timeout_s: float = 20.0) -> int:
        """Wait for the end; the exit code. The output is read on, so that nobody blocks."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen()}"
            self._read(0.05)
        self._read(0.0)
        return int(self.process.returncode)

    def wait_for_stop(self, timeout_s: float = 10.0) -> None:
        """Until the program is stopped (Ctrl-Z)."""
        deadline = time.monotonic() + timeout_s
        stat = Path(f"/proc/{self.process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "it does not stop"
            self._read(0.05)
        self._read(0.0)

    def is_as_before(self) -> bool:
        """Echo and line mode as they were, cursor visible, ordinary screen."""
        modes = termios.tcgetattr(self.follower) == self.before
        last = max(self.text.rfind(ALTERNATE_ON), self.text.rfind("\x1b[?25l"))
        return modes and self.text.rfind(ALTERNATE_OFF) > last and self.text.rfind(CURSOR_ON) > last

    def _read(self, wait_s: float) -> None:
        while select.select([self._leader], [], [], wait_s)[0]:
            try:
                data = os.read(self._leader, 65536)
            except OSError:
                return
            self.text += self._decoder.decode(data)
            wait_s = 0.0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._leader)
        os.close(self.follower)
