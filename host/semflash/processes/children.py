"""Children that never outlive this process, however it ends: SIGKILL included.

A child waits at a gate until a guard (:mod:`semflash.processes.guard`), a process of its own, knows it. When
this process ends, the guard ends what is left. Each child leads a group and session of its own: Ctrl-C comes
to this process alone, which passes it on. It does not matter which thread starts a child, or ends first.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semflash.errors import SemflashError
from semflash.processes.guard import end_groups

#: $1 is the gate's descriptor: a line opens it; where its other end closes without one, it never opens.
_GATE = 'read -r go </dev/fd/$1 && shift && exec "$@"'
_GUARD = Path(__file__).with_name("guard.py")
_ANSWER_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 2.0


class _Guard:
    """The guard of this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # a forked child has a guard of its own
        self._groups: set[int] = set()

    def add(self, group: int) -> None:
        """Have a process group ended when this process ends. Returns once that is sure."""
        with self._lock:
            if self._owner != os.getpid():
                self._process, self._groups, self._owner = None, set(), os.getpid()
            self._groups.add(group)
            if self._process is not None and self._say([group]):
                return
            self._process = _start_guard("serve", os.getpid())
            if not self._say(sorted(self._groups)):
                raise SemflashError("the guard of child processes does not answer", value=sys.executable)

    def remove(self, group: int) -> None:
        """The group has ended, or may outlive this process."""
        with self._lock:
            if self._owner == os.getpid() and group in self._groups:
                self._groups.discard(group)
                self._write(b"-%d\n" % group)

    def close(self) -> None:
        """At the end of this process: let the guard go."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid() and self._process.stdin is not None:
                self._process.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):  # it may have children to end yet
                    self._process.wait(_END_TIMEOUT_S)

    def _say(self, groups: list[int]) -> bool:
        """Add groups and wait for the answer to the last. False: the guard has ended."""
        assert self._process is not None
        return self._write(b"".join(b"+%d\n" % group for group in groups)) and _knows(
            self._process, groups[-1]
        )

    def _write(self, lines: bytes) -> bool:
        """Write to the guard. False: it has ended."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(lines)
        except BrokenPipeError:
            return False
        return True


def _start_guard(*arguments: object) -> subprocess.Popen[bytes]:
    """A guard process, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
        cwd="/",
    )


def _knows(guard: subprocess.Popen[bytes], group: int) -> bool:
    """Wait until a guard says that it watches the group. False: it has ended, or never answers."""
    assert guard.stdout is not None
    said = b"\n"
    while select.select([guard.stdout], [], [], _ANSWER_TIMEOUT_S)[0]:
        piece = guard.stdout.read(64)
        if not piece:
            return False
        said += piece
        if b"\n%d\n" % group in said:  # an answer to somebody who was interrupted may come before ours
            return True
    return False


_guard = _Guard()
atexit.register(_guard.close)


def start(
    command: Sequence[str | os.PathLike[str]],
    *,
    data: bytes = b"",
    known: Callable[[int], None] | None = None,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start a program that ends with this process at the latest.

    Args:
        data: its standard input.
        known: called with the child's number before the program begins; if it raises, the program never does.
        options: of :class:`subprocess.Popen`, but for stdin and start_new_session.

    Raises:
        FileNotFoundError: there is no such program.
    """
    program = os.fspath(command[0])
    if shutil.which(program, path=(options.get("env") or os.environ).get("PATH")) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    with contextlib.ExitStack() as ends:
        gate, opener = os.pipe()
        ends.callback(os.close, gate)
        ends.callback(os.close, opener)
        source = ends.enter_context(tempfile.TemporaryFile())
        source.write(data)
        source.seek(0)
        gated = ["/bin/sh", "-c", _GATE, "sh", str(gate), *command]
        process = subprocess.Popen(gated, stdin=source, pass_fds=[gate], start_new_session=True, **options)
        try:
            _guard.add(process.pid)
            if known is not None:
                known(process.pid)
        except BaseException:
            end(process)
            raise
        os.write(opener, b"\n")
    return process


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    stderr: int = subprocess.STDOUT,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; nothing of it is left when this returns or raises, or when this process ends.

    Args:
        stderr: subprocess.PIPE keeps it apart from the output.
        options: Of :func:`start`.

    Returns:
        exit code and output, as text; what is no UTF-8 is replaced.

    Raises:
        subprocess.TimeoutExpired: It did not end in time.
        FileNotFoundError: There is no such program.
    """
    done = run_bytes(command, timeout_s=timeout_s, env=env, stderr=stderr, **options)
    texts = [None if part is None else part.decode("utf-8", "replace") for part in (done.stdout, done.stderr)]
    return subprocess.CompletedProcess(list(command), done.returncode, *texts)


def run_bytes(
    command: Sequence[str | os.PathLike[str]], *, timeout_s: float, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """:func:`run`, with the output as it came; what had come is in the TimeoutExpired, too."""
    process = start(command, stdout=subprocess.PIPE, **options)
    try:
        output, errors = process.communicate(timeout=timeout_s)
    finally:
        end(process)
    return subprocess.CompletedProcess(list(command), process.returncode, output, errors)


def end(process: subprocess.Popen[Any]) -> None:
    """End a child and all that it started, if it has not ended, and collect it."""
    end_groups({process.pid})
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    _guard.remove(process.pid)


def release(pid: int) -> None:
    """A child, by its number, may outlive this process, or has ended."""
    _guard.remove(pid)


def tie(group: int, parent: int) -> None:
    """Have a process group that outlives this process ended when process `parent` ends."""
    guard = _start_guard("tie", parent, group)
    assert guard.stdin is not None and guard.stdout is not None
    guard.stdin.close()
    _knows(guard, group)
    guard.stdout.close()
