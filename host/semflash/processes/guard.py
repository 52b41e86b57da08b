"""A process that ends process groups when the process that started them has ended, however it ended.

Started by :mod:`semflash.processes.children` as a file with ``python -I -S``; it imports the standard library
only. It is not in the session of those it watches, so no signal to them reaches it.

    guard.py serve PID          reads lines "+GROUP" (answered with "GROUP") and "-GROUP"; when its input or
                                process PID ends, it ends every group that was added and not taken off
    guard.py tie PID GROUP      answers "GROUP", and ends GROUP when PID ends; ends itself when GROUP's leader
                                has ended
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

_BLOCK = 4096
_POLL_S = 0.02
#: OpenOCD lets go of its probe at SIGINT, QEMU ends, Python cleans up; the rest need not be asked.
STEPS = ((signal.SIGINT, 3.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0))


def end_groups(groups: set[int]) -> None:
    """End every process of these groups: SIGINT, SIGTERM, then SIGKILL."""
    for number, seconds in STEPS:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            groups = {group for group in groups if _is_alive(group)}
            if not groups:
                return
            time.sleep(_POLL_S)


def _is_alive(group: int) -> bool:
    """Whether a process of the group still runs; zombies, which nobody may ever collect, do not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    for stat in Path("/proc").glob("[1-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return not Path("/proc/self").exists()


def _watch(pid: int) -> list[int]:
    """What is readable once the process has ended; nothing: it has, or the system has no such thing."""
    try:
        return [os.pidfd_open(pid)]
    except (AttributeError, OSError):
        return []


def _answer(group: int) -> None:
    """Say that the group is watched."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"%d\n" % group)


def serve(parent: int) -> None:
    """Guard the groups that come on the standard input."""
    watched = _watch(parent)
    groups: set[int] = set()
    text = b""
    # A forked child may keep the input open: the end of the process counts, too, once all is read.
    while 0 in select.select([0, *watched], [], [])[0]:
        data = os.read(0, _BLOCK)
        if not data:
            break
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            group = int(line[1:])
            if line[:1] == b"+":
                groups.add(group)
                _answer(group)
            else:
                groups.discard(group)
    end_groups(groups)


def tie(parent: int, group: int) -> None:
    """End the group when the process ends."""
    leader, watched = _watch(group), _watch(parent)
    _answer(group)
    os.close(1)
    if leader and (not watched or watched[0] in select.select([*leader, *watched], [], [])[0]):
        end_groups({group})


def main() -> None:
    """``guard.py serve PID`` or ``guard.py tie PID GROUP``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent, *group = (int(word) for word in sys.argv[2:])
    if sys.argv[1] == "tie":
        tie(parent, group[0])
    else:
        serve(parent)


if __name__ == "__main__":
    main()
