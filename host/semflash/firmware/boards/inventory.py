"""Which boards there are, and which of them are here now."""

from __future__ import annotations

import msgspec

from semflash.firmware.boards.descriptions import Board, list_boards
from semflash.firmware.emulator import emulator
from semflash.firmware.probes.probes import candidates


class BoardStatus(msgspec.Struct, frozen=True):
    """One board and whether it is attached.

    Attributes:
        attached: plugged in, running in the emulator, or native.
        ports: serial ports to talk to it, empty where there is none.
        bundle_hash: of the firmware in a running emulator, else empty.
        detail: what is known beside that, for people.
    """

    name: str
    title: str
    kind: str
    mcu: str
    clock_hz: int
    flash_bytes: int | None
    ram_bytes: int | None
    attached: bool
    ports: tuple[str, ...]
    bundle_hash: str
    detail: str


def inventory() -> list[BoardStatus]:
    """All boards with their state."""
    return [_status(board) for board in list_boards()]


def _status(board: Board) -> BoardStatus:
    attached, detail, bundle_hash = True, "", ""
    ports: tuple[str, ...] = ()
    if board.kind == "emulated":
        state = emulator.status(board.name)
        attached = state is not None
        if state is not None:
            ports = (state.port,)
            bundle_hash, detail = state.bundle_hash, f"build {state.build_id}, process {state.pid}"
    elif board.kind == "hardware":
        found = candidates(board)
        attached = bool(found)
        ports = tuple(candidate.port for candidate in found)
        detail = ", ".join(f"probe {candidate.serial}" for candidate in found)
    else:
        detail = "in this process"
    return BoardStatus(
        board.name,
        board.title,
        board.kind,
        board.mcu,
        board.clock_hz,
        board.flash_bytes,
        board.ram_bytes,
        attached,
        ports,
        bundle_hash,
        detail,
    )
