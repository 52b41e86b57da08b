"""Which port a board is talked to through. Two candidates are an error, never a guess.

The board's lock is held while its port is open: nobody flashes, stops or measures it meanwhile.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from semflash.errors import DeviceError, UsageError
from semflash.link.port import DEFAULT_BAUD, READ_TIMEOUT_S, Port, open_port

if TYPE_CHECKING:
    from semflash.firmware.boards.descriptions import Board
    from semflash.firmware.boards.lock import BoardUser


class ClosablePort(Port, AbstractContextManager["ClosablePort"], Protocol):
    """A port that `with` closes."""


class HeldPort:
    """An open port with the lock of its board, which is free again when the port is closed."""

    def __init__(self, port: ClosablePort, lock: ExitStack) -> None:
        self._port, self._lock = port, lock
        self.url = str(getattr(port, "url", ""))

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        return self._port.read(size)

    def write(self, data: bytes, /) -> int | None:
        return self._port.write(data)

    def close(self) -> None:
        """Give port and board back."""
        with self._lock:
            self._port.close()

    def __enter__(self) -> HeldPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(
    board: Board,
    *,
    port: str | None = None,
    probe: str | None = None,
    baud: int | None = None,
    build_dir: Path | None = None,
    user: BoardUser | None = None,
) -> ClosablePort:
    """Open the port of `board`, and hold its lock until the port is closed.

    Args:
        port: device file or URL; overrides what the board says.
        probe: serial number of the debug probe, where several boards of this kind are plugged in.
        baud: bits per second; the board's when None.
        build_dir: folder of the build (board `native` runs its library in this process).
        user: who it is for, as others are told who find the board busy.

    Raises:
        BoardBusyError: another process uses the board.
        DeviceError: the board is not there, or more than one is.
        UsageError: a port for `native`. BuildError: `native` was not built.
        LinkError: the port cannot be opened.
    """
    speed = baud or (board.serial.baud if board.serial is not None else DEFAULT_BAUD)
    if board.kind == "native":
        return _native(port, build_dir)
    from semflash.firmware.boards import lock as board_lock

    found = port
    if found is None and board.kind == "hardware":
        found = _hardware_port(board, probe)
    elif found is None:
        _emulator_port(board)  # nobody is kept off a board that does not run
    name = board_lock.key(board) if found is None else board_lock.key_at(board, found)
    with ExitStack() as stack:
        stack.enter_context((user or board_lock.BoardUser()).hold(name))
        # An emulated board that was just flashed has another port: looked up when it is ours.
        opened = open_port(found or _emulator_port(board), baud=speed)
        return HeldPort(opened, stack.pop_all())


def _native(port: str | None, build_dir: Path | None) -> ClosablePort:
    from semflash.firmware.building.result import BuildResult
    from semflash.firmware.emulator.native import NativePort

    if port is not None:
        raise UsageError(
            "board 'native' has no port", value=port, remedy="leave --port out, or name a --board"
        )
    if build_dir is None:
        raise UsageError("board 'native' needs its build folder", remedy="--out build/BUNDLE-native")
    built = BuildResult.load(build_dir)
    if built.kind != "native":
        raise UsageError("this build is for another board", value=built.board, remedy="--board native")
    return NativePort(built.image_path, timeout=READ_TIMEOUT_S)


def _emulator_port(board: Board) -> str:
    from semflash.firmware.emulator import emulator

    state = emulator.status(board.name)
    if state is None:
        raise DeviceError(
            "the emulated board does not run", value=board.name, remedy="semflash flash BUNDLE starts it"
        )
    return state.port


def _hardware_port(board: Board, probe: str | None) -> str:
    from semflash.firmware.probes.probes import choose

    return choose(board, probe=probe).port
