"""Which port a board is talked to through. Two candidates are an error, never a guess."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from semflash.errors import DeviceError, UsageError
from semflash.link.port import DEFAULT_BAUD, READ_TIMEOUT_S, Port, open_port

if TYPE_CHECKING:
    from semflash.firmware.boards.descriptions import Board


class ClosablePort(Port, AbstractContextManager["ClosablePort"], Protocol):
    """A port that `with` closes."""


def attach(
    board: Board,
    *,
    port: str | None = None,
    probe: str | None = None,
    baud: int | None = None,
    build_dir: Path | None = None,
) -> ClosablePort:
    """Open the port of `board`.

    Args:
        port: device file or URL; overrides what the board says.
        probe: serial number of the debug probe, where several boards of this kind are plugged in.
        baud: bits per second; the board's when None.
        build_dir: folder of the build (board `native` runs its library in this process).

    Raises:
        DeviceError: the board is not there, or more than one is.
        UsageError: a port for `native`. BuildError: `native` was not built.
        LinkError: the port cannot be opened.
    """
    speed = baud or (board.serial.baud if board.serial is not None else DEFAULT_BAUD)
    if board.kind == "native":
        return _native(port, build_dir)
    if port is not None:
        return open_port(port, baud=speed)
    if board.kind == "emulated":
        return open_port(_emulator_port(board), baud=speed)
    return open_port(_hardware_port(board, probe), baud=speed)


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
