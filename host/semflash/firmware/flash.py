"""Puts a built image on its board: through PlatformIO's upload, also for the emulated one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semflash.errors import DeviceError, UsageError
from semflash.firmware import emulator, platformio
from semflash.firmware.boards import Board, load_board
from semflash.firmware.build_result import BuildResult
from semflash.firmware.project import exclusive

_FINISHED = "** Programming Finished **"
_VERIFIED = "** Verified OK **"


@dataclass(frozen=True)
class FlashResult:
    """A flashed board: the serial port it talks on (None on `native`, which has none)."""

    board: str
    port: str | None
    build_id: str
    bundle_hash: str


@dataclass(frozen=True)
class SerialCandidate:
    """A serial port on this machine whose USB ids fit a board."""

    port: str
    usb_id: str
    serial_number: str


def flash(built: BuildResult, *, port: str | None = None) -> FlashResult:
    """Upload `built`; on the emulated board this (re)starts the emulator.

    Args:
        port: serial port of a hardware board, where more than one fits.

    Raises:
        DeviceError: no board, two candidates, or the upload failed.
    """
    board = load_board(built.board)
    if port is not None and board.kind != "hardware":
        raise UsageError(
            f"board '{board.name}' is not plugged in at a port", value=port, remedy="leave --port out"
        )
    if board.kind == "native":
        return FlashResult(board.name, None, built.build_id, built.bundle_hash)
    assert board.platformio_env is not None
    if board.kind == "hardware":
        port = choose_port(board, port)
    folder = Path(built.directory)
    log = folder / "flash.log"
    with exclusive(folder):
        done = platformio.run(folder, board.platformio_env, target="upload", log=log)
    if board.kind == "hardware":
        _check_programmed(done.output, log)
        return FlashResult(board.name, port, built.build_id, built.bundle_hash)
    state = emulator.status(board.name)
    if state is None or state.build_id != built.build_id:
        raise DeviceError(
            "the emulated board did not stay up", value=board.name, remedy=f"see {log} and semflash doctor"
        )
    return FlashResult(board.name, state.port, built.build_id, built.bundle_hash)


def candidates(board: Board) -> list[SerialCandidate]:
    """Serial ports on this machine that may be `board`, by the USB ids of its description."""
    from serial.tools import list_ports

    wanted = board.serial.usb_ids if board.serial is not None else ()
    found = []
    for port in list_ports.comports():
        if port.vid is None or port.pid is None:
            continue
        usb_id = f"{port.vid:04x}:{port.pid:04x}"
        if usb_id in wanted:
            found.append(SerialCandidate(port.device, usb_id, port.serial_number or ""))
    return sorted(found, key=lambda candidate: candidate.port)


def choose_port(board: Board, port: str | None, found: list[SerialCandidate] | None = None) -> str:
    """The one port of a hardware board; never a guess.

    Args:
        found: what is plugged in; looked up when None.

    Raises:
        DeviceError: none or several fit, or the wished one is not there; all are listed.
    """
    found = candidates(board) if found is None else found
    names = ", ".join(f"{c.port} (probe {c.serial_number or 'without number'})" for c in found) or "none"
    if len(found) > 1:
        # OpenOCD would open the first probe, which need not be the one of this port.
        raise DeviceError(
            f"{len(found)} boards of this kind are plugged in, and the upload cannot tell them apart",
            value=names,
            remedy="unplug all but one",
        )
    if not found:
        raise DeviceError(
            f"no {board.title} is plugged in",
            value=names,
            remedy="plug it in; semflash boards lists what is seen",
        )
    if port is not None and port != found[0].port:
        raise DeviceError(
            "that port is not the board's", value=port, remedy=f"leave --port out, or use {names}"
        )
    return found[0].port


def _check_programmed(output: str, log: Path) -> None:
    """OpenOCD's own words must say that it wrote and verified; pio's exit code alone is not enough."""
    for text in (_FINISHED, _VERIFIED):
        if text not in output:
            raise DeviceError(
                "the upload ended without saying that it succeeded",
                value=f"no {text!r}",
                remedy=f"read {log}; try another cable",
            )
