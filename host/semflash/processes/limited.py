"""A child process with limits, of a module of this package, for native code that runs a stranger's network.

The child is asked through a FIFO in a folder of its own and answers on standard output; it first says READY.
It has a limit of memory, no core dumps, a home of its own and a proxy that leads nowhere, so that nothing is
fetched. What it writes to standard error is kept for the message of an error.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from semflash import atomic
from semflash.errors import SemflashError
from semflash.printable import printable
from semflash.processes import children

MEMORY_BYTES = 16 << 30
START_TIMEOUT_S = 300.0
REQUESTS = "requests"
READY = b"ready\n"
_NOWHERE = "http://127.0.0.1:9"
_POLL_S = 0.01

#: Makes the error of how it failed, and of the last line that the child wrote.
Refuse = Callable[[str, str | None], SemflashError]


class LimitedChild:
    """Starts with the context, and ends with it.

    Args:
        module: that runs as ``python -m MODULE FOLDER``.
        prepare: puts what the child needs into its folder, before it starts.
        refuse: makes the errors.
        memory_bytes: that the child may have.
    """

    def __init__(
        self,
        module: str,
        prepare: Callable[[Path], None],
        refuse: Refuse,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._module, self._prepare, self._refuse, self._memory = module, prepare, refuse, memory_bytes
        self._ends = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._requests = -1

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            self._folder = ends.enter_context(atomic.scratch(Path(tempfile.gettempdir()), "semflash-child-"))
            self._start(ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()
        self._process = None

    @property
    def pid(self) -> int | None:
        """Of the child; None: it does not run."""
        return None if self._process is None else self._process.pid

    def send(self, message: bytes) -> None:
        """Ask. The error: it has ended."""
        left = memoryview(message)
        try:
            while left:
                left = left[os.write(self._requests, left) :]
        except BrokenPipeError as error:
            raise self.failed("its process ended") from error

    def receive(self, size: int, timeout_s: float) -> bytes:
        """So many bytes of its answer. The error: it ended, or takes longer."""
        assert self._process is not None and self._process.stdout is not None
        deadline, got = time.monotonic() + timeout_s, bytearray()
        while len(got) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise self.failed(f"it took more than {timeout_s:.0f} s")
            piece = os.read(self._process.stdout.fileno(), min(size - len(got), 1 << 20))
            if not piece:
                self._process.wait()
                raise self.failed("its process ended")
            got += piece
        return bytes(got)

    def failed(self, how: str) -> SemflashError:
        """The error that says how it failed, with the last line that it wrote and its exit code."""
        with (self._folder / "errors").open("rb") as file:
            lines = file.read()[-4_096:].decode("utf-8", "replace").strip().splitlines()
        code = None if self._process is None else self._process.poll()
        ended = f" with code {code}" if code else ""
        return self._refuse(f"{how}{ended}", printable(lines[-1][:300]) if lines else None)

    def _start(self, ends: contextlib.ExitStack) -> None:
        folder = self._folder
        self._prepare(folder)
        os.mkfifo(folder / REQUESTS, 0o600)
        # -P: nothing is imported from the folder that it runs in.
        command = [sys.executable, "-P", "-m", self._module, str(folder)]
        errors = ends.enter_context((folder / "errors").open("wb"))
        self._process = children.start(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=_environment(folder, os.environ),
            preexec_fn=self._limit,
            bufsize=0,
        )
        ends.callback(children.end, self._process)
        if self.receive(len(READY), START_TIMEOUT_S) != READY:
            raise self.failed("its process says something else than it should")
        self._requests = self._opened()
        ends.callback(os.close, self._requests)

    def _limit(self) -> None:
        for which, limit in ((resource.RLIMIT_AS, self._memory), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(which, (limit, limit))

    def _opened(self) -> int:
        """The writing end of the FIFO, once the child has opened the other."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._alive():
            try:
                handle = os.open(self._folder / REQUESTS, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # nobody reads yet
                time.sleep(_POLL_S)
            else:
                os.set_blocking(handle, True)
                return handle
        raise self.failed("its process did not begin to listen")

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _environment(folder: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """What the child needs of ours; home and temporary files lie in its folder, and nothing is fetched."""
    kept = {name: ours[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in ours}
    if ours.get("PYTHONPATH"):  # the child runs in another directory
        places = [place for place in ours["PYTHONPATH"].split(os.pathsep) if place]
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(place).resolve()) for place in places)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        kept |= {name: _NOWHERE, name.lower(): _NOWHERE}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder)}
