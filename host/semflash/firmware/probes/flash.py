"""Puts a built image on its board, through PlatformIO's upload, and asks the board who it is."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from semflash.errors import UsageError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import Board, load_board
from semflash.firmware.boards.hardware_map import MapEntry, find_map, read_map
from semflash.firmware.boards.lock import BoardUser
from semflash.firmware.boards.probe import twins
from semflash.firmware.building import platformio
from semflash.firmware.building.project import exclusive
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.firmware.probes import confirm, probes
from semflash.firmware.probes.verdicts import Verdict, VerdictError
from semflash.link.messages import Hello

_FINISHED = "** Programming Finished **"
_VERIFIED = "** Verified OK **"
_DRIVE = re.compile(
    r"^(?:Auto-detected|Use manually specified|Using manually specified): (/.+?)\s*$", re.MULTILINE
)
_MAX_FAIL_BYTES = 4096


@dataclass(frozen=True)
class FlashResult:
    """A flashed board.

    Attributes:
        port: serial port it talks on; None on `native`, which has none.
        probe: serial number of its debug probe, where it has one.
        hello: what it said of itself afterwards; None on `native` and where it was not asked.
    """

    board: str
    port: str | None
    build_id: str
    bundle_hash: str
    probe: str | None = None
    hello: Hello | None = None


def flash(
    built: BuildResult,
    *,
    port: str | None = None,
    probe: str | None = None,
    entry: MapEntry | None = None,
    confirmed: bool = True,
    timeout_s: float = 2.0,
    user: BoardUser | None = None,
    keep: ExitStack | None = None,
) -> FlashResult:
    """Upload `built`; on the emulated board this (re)starts the emulator. Then the board must say it runs it.

    Args:
        port: The serial port of the board, where more than one fits.
        probe: The serial number of its debug probe, likewise.
        entry: Its entry of the hardware map, likewise.
        confirmed: Ask HELLO afterwards.
        timeout_s: For one HELLO, of several.
        user: Who flashes, as others are told who find the board busy, and the map the entry is of.
        keep: Gets the board's lock, which is held until it is closed; else the board is free afterwards.

    Raises:
        VerdictError: What is wrong, in one word.
        BoardBusyError: Another job uses the board.
        DeviceError: Several boards fit.
        UsageError: What was named is for another kind of board.
    """
    board = load_board(built.board)
    _check_named(board, port, probe, entry)
    if board.kind == "native":
        return FlashResult(board.name, None, built.build_id, built.bundle_hash)
    user = user or BoardUser("semflash flash")
    map_path = user.map_path or find_map()
    chosen = None
    if board.kind == "hardware":
        known = read_map(map_path) if map_path is not None else None
        chosen = probes.choose(board, port=port, probe=probe, entry=entry, hardware_map=known)
    name = board_lock.key(board, None if chosen is None else chosen.serial or chosen.port)
    with ExitStack() as stack:
        stack.enter_context(user.hold(name))
        if chosen is None:
            url = _emulated(built, board)
        else:
            _upload(built, board, chosen)
            url = probes.same_probe(chosen, board).port  # a reset may have given it another name
        baud = confirm_baud(board, entry)
        hello = confirm.confirm(built, url, baud, timeout_s=timeout_s) if confirmed else None
        if keep is not None:
            keep.enter_context(stack.pop_all())
    serial = None if chosen is None else chosen.serial or None
    return FlashResult(board.name, url, built.build_id, built.bundle_hash, serial, hello)


def confirm_baud(board: Board, entry: MapEntry | None) -> int:
    """The line speed of a board: the map's word before the description's."""
    assert board.serial is not None
    return entry.baud if entry is not None and entry.baud is not None else board.serial.baud


def _check_named(board: Board, port: str | None, probe: str | None, entry: MapEntry | None) -> None:
    """What was named must fit the kind of board."""
    if board.kind != "hardware" and (port is not None or probe is not None):
        raise UsageError(
            f"board '{board.name}' is not plugged in at a port",
            value=port or probe,
            remedy="leave --port and --probe out",
        )
    if entry is not None and entry.board != board.name:
        raise VerdictError(
            Verdict.WRONG_BOARD,
            f"entry {entry.name!r} of the hardware map is a {entry.board}, the firmware is for {board.name}",
            remedy=f"semflash build ... --board {entry.board}",
        )


def _emulated(built: BuildResult, board: Board) -> str:
    """Start the emulator; its serial port."""
    _run_upload(built, board, None)
    state = emulator.status(board.name)
    if state is None or state.build_id != built.build_id:
        raise VerdictError(
            Verdict.FLASH_FAILED,
            "the emulated board did not stay up",
            value=board.name,
            remedy=f"see {_log(built)} and semflash doctor",
        )
    return state.port


def _upload(built: BuildResult, board: Board, chosen: probes.Probe) -> None:
    """Write the image through `chosen`, whose serial number reaches OpenOCD."""
    plugged = probes.scan()
    others = plugged if not chosen.serial and len(plugged) > 1 else twins(chosen, plugged)
    if others:
        why = "another has the same serial number" if chosen.serial else "it has no serial number"
        raise VerdictError(
            Verdict.NO_PROBE,
            f"OpenOCD might open another probe than the board's: {why}",
            value=", ".join(map(str, plugged)),
            remedy="unplug the others",
        )
    _check_programmed(_run_upload(built, board, chosen.serial or None), _log(built))


def _run_upload(built: BuildResult, board: Board, serial: str | None) -> str:
    """pio's output. It runs with what the build locked: nobody builds in the folder meanwhile."""
    assert board.platformio_env is not None
    folder = Path(built.directory)
    with exclusive(folder):
        done = platformio.run(folder, board.platformio_env, target="upload", log=_log(built), probe=serial)
    return done.output


def _log(built: BuildResult) -> Path:
    return Path(built.directory) / "flash.log"


def _check_programmed(output: str, log: Path) -> None:
    """OpenOCD's own words must say that it wrote and verified; pio's exit code alone is not enough."""
    missing = [text for text in (_FINISHED, _VERIFIED) if text not in output]
    if not missing:
        return
    drive = _DRIVE.search(output)
    if drive is not None or "upload disk" in output:
        raise VerdictError(
            Verdict.FLASH_FAILED,
            "the image was only copied to a drive, which does not tell whether the board took it",
            value=_fail_text(Path(drive.group(1))) if drive is not None else None,
            remedy=f"set upload_protocol = stlink in platformio.ini; the whole output is in {log}",
        )
    raise VerdictError(
        Verdict.VERIFY_FAILED if missing == [_VERIFIED] else Verdict.FLASH_FAILED,
        "the upload ended without saying that it succeeded",
        value=f"no {missing[0]!r}",
        remedy=f"read {log}; try another cable",
    )


def _fail_text(drive: Path) -> str:
    """What the probe wrote into FAIL.TXT of its drive, where it wrote one."""
    try:
        with (drive / "FAIL.TXT").open("rb") as file:
            return f"FAIL.TXT: {file.read(_MAX_FAIL_BYTES).decode('utf-8', 'replace').strip()}"
    except OSError:
        return str(drive)
