"""Keeps two jobs off one board: a lock for each board, held for as long as a process uses the board.

The lock is flock's: the system frees it when the holder ends, however it ends, so nothing is ever stale.
Child processes do not inherit it. It is taken per user, and beside the hardware map, which users may share.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semflash.errors import DeviceError
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.boards.hardware_map import find_map
from semflash.firmware.boards.probe import device_file
from semflash.firmware.emulator import state as emulator_state
from semflash.firmware.probes import probes

_RETRY_S = 0.1
#: How long a new holder may take to write its name.
_NAME_S = 0.3
#: Files that this process has locked: descriptor, and how many hold it.
_held: dict[Path, list[int]] = {}
_held_guard = threading.Lock()


class BoardBusyError(DeviceError):
    """Another job uses the board."""

    kind = "board-busy"


@dataclass(frozen=True)
class BoardUser:
    """Who uses a board, as those who find it busy are told.

    Attributes:
        what: For instance "semflash monitor".
        map_path: The hardware map beside which the lock is taken, too; the one :func:`find_map` finds when
            None.
    """

    what: str = "semflash"
    map_path: Path | None = None

    def hold(self, name: str) -> contextlib.AbstractContextManager[None]:
        """:func:`hold` for this user."""
        return hold(name, map_path=self.map_path or find_map(), what=self.what)


def key(board: Board, probe: str | None = None) -> str:
    """The name of a board's lock: its probe's serial number, else its own name.

    >>> from semflash.firmware.boards.descriptions import load_board
    >>> key(load_board("nucleo_f446re"), "066A/FF")
    'probe-066A_FF'
    """
    return _fit(f"probe-{probe}") if probe else emulated_key(board.name)


def emulated_key(instance: str) -> str:
    """The name of the lock of an emulated board, or of another instance of it."""
    return _fit(f"board-{instance}")


def key_at(board: Board, url: str) -> str:
    """The name of the lock of the board behind a port, which has been found or named.

    Probes with one serial number have one lock, too: whoever flashes cannot tell them apart.
    """
    return key_behind(url) if board.kind == "emulated" else _probe_behind(url)


def key_behind(url: str) -> str:
    """The same where nobody has said which board it is: an emulated one that runs there, else a probe's."""
    named = device_file(url)
    for state in emulator_state.running():
        if device_file(state.port) == named:
            return emulated_key(state.board)
    return _probe_behind(url)


def _probe_behind(url: str) -> str:
    named = device_file(url)
    serials = (probes.serial_of(port) for port in probes.comports() if device_file(port.device) == named)
    return _fit(f"probe-{next(serials, '') or named}")


def _fit(name: str) -> str:
    """`name` as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


@contextlib.contextmanager
def hold(
    name: str,
    *,
    map_path: Path | None = None,
    timeout_s: float = 0.0,
    what: str = "semflash",
    or_ancestor: bool = False,
) -> Iterator[None]:
    """Hold the lock `name` (of :func:`key`). May be nested within one process, and freed in any order.

    Args:
        map_path: The hardware map beside which it is taken, too.
        timeout_s: How long to wait for another job.
        what: Said to those who wait.
        or_ancestor: A lock that a process holds which started this one counts as held.

    Raises:
        BoardBusyError: another process holds it; named in the error.
        DeviceError: the lock's file cannot be made.
    """
    paths = [emulator_state.state_dir() / f"{name}.board-lock"]
    if map_path is not None:
        map_path = map_path.resolve()
        paths.append(map_path.parent / f".{map_path.name}.{name}.lock")
    deadline = time.monotonic() + timeout_s
    with contextlib.ExitStack() as stack:
        for path in paths:
            while not _take(path, what):
                holder = _holder(path)
                if or_ancestor and holder is not None and holder[0] in _ancestors():
                    break
                if time.monotonic() >= deadline:
                    raise _busy(name, holder)
                time.sleep(_RETRY_S)
            else:
                stack.callback(_release, path)
        yield


def _take(path: Path, what: str) -> bool:
    """Lock the file if it is free, and write who holds it."""
    with _held_guard:
        if path in _held:
            _held[path][1] += 1
            return True
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        # The file's text is for people: the lock itself is the system's.
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)
        _held[path] = [handle, 1]
        return True


def _release(path: Path) -> None:
    """Free the file when its last holder in this process lets go."""
    with _held_guard:
        entry = _held[path]
        entry[1] -= 1
        if entry[1] == 0:
            del _held[path]
            os.ftruncate(entry[0], 0)
            os.close(entry[0])


def _open(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        with contextlib.suppress(PermissionError):  # not ours: its owner has said who may open it
            os.fchmod(handle, 0o666)  # other users of a shared map must be able to lock it
        return handle
    except OSError as error:
        raise DeviceError(
            f"the board's lock cannot be made: {error.strerror}",
            value=path,
            remedy="make the hardware map's folder writable for its users",
        ) from error


def _busy(name: str, holder: tuple[int, str] | None) -> BoardBusyError:
    """The error that says who holds the lock and what to do."""
    who = "process unknown" if holder is None else f"process {holder[0]} ({holder[1]})"
    end = "" if holder is None else f" (kill {holder[0]})"
    return BoardBusyError(
        "another job uses the board",
        value=f"{name}, {who}",
        remedy=f"wait until it is done, or end it{end}; the board is free as soon as it has ended",
    )


def _holder(path: Path) -> tuple[int, str] | None:
    """Process and name of who holds the lock, as its file says; a new holder gets a moment to write it."""
    deadline = time.monotonic() + _NAME_S
    while True:
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            found = int(said["pid"]), str(said["what"])[:40]
        except (OSError, ValueError, KeyError, TypeError):
            found = None
        alive = found is not None and Path(f"/proc/{found[0]}").exists()
        if alive or time.monotonic() >= deadline:
            return found
        time.sleep(_NAME_S / 10)


def _ancestors() -> set[int]:
    """Numbers of the processes above this one."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
        found.add(pid)
    return found
