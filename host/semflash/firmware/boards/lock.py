"""Keeps two jobs off one board: a lock for each board, held for as long as the process that took it lives.

The lock is flock's: the system frees it when the holder ends, however it ends, so nothing is ever stale.
Child processes do not inherit it. It is taken per user, and beside the hardware map, which users may share.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from semflash.errors import DeviceError
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.emulator import state as emulator_state

_RETRY_S = 0.1
#: Locks that this process holds, and how often.
_held: dict[Path, int] = {}


class BoardBusyError(DeviceError):
    """Another job uses the board."""

    kind = "board-busy"


def key(board: Board, probe: str | None = None) -> str:
    """The name of a board's lock: its probe's serial number, else its own name.

    >>> from semflash.firmware.boards.descriptions import load_board
    >>> key(load_board("nucleo_f446re"), "066A/FF")
    'probe-066A_FF'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"probe-{probe}" if probe else f"board-{board.name}")


@contextlib.contextmanager
def hold(
    name: str, *, map_path: Path | None = None, timeout_s: float = 0.0, what: str = "semflash"
) -> Iterator[None]:
    """Hold the lock `name` (of :func:`key`). May be nested within one process.

    Args:
        map_path: the hardware map beside which it is taken, too.
        timeout_s: how long to wait for another job. what: said to those who wait.

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
            stack.enter_context(_hold_file(path, name, deadline, what))
        yield


@contextlib.contextmanager
def _hold_file(path: Path, name: str, deadline: float, what: str) -> Iterator[None]:
    if path in _held:
        _held[path] += 1
        try:
            yield
        finally:
            _held[path] -= 1
        return
    handle = _open(path)
    try:
        _take(handle, path, name, deadline)
        # The file's text is for people: the lock itself is the system's.
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)
        _held[path] = 1
        try:
            yield
        finally:
            del _held[path]
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


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


def _take(handle: int, path: Path, name: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                break
        time.sleep(_RETRY_S)
    raise BoardBusyError(
        "another job uses the board",
        value=f"{name}, {_holder(path)}",
        remedy="wait for it, or end it; the lock is free as soon as it has ended",
    )


def _holder(path: Path) -> str:
    """Who holds the lock, as its file says."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(said['pid'])} ({str(said['what'])[:40]})"
    except (OSError, ValueError, KeyError, TypeError):
        return "process unknown"
