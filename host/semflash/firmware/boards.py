"""Boards: one TOML description each, in boards/, checked against the schema below."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import msgspec

from semflash.errors import BuildError, UsageError
from semflash.firmware import resources

Kind = Literal["native", "emulated", "hardware"]
DEFAULT_BOARD = "qemu-stm32f405"
_MAX_TOML_BYTES = 64 * 1024


class Flash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Flash memory: `origin` is its address, `size_bytes` its size."""

    origin: int
    size_bytes: int


class RamRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One piece of RAM with consecutive addresses."""

    name: str
    origin: int
    size_bytes: int


class Serial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The UART the firmware talks through; `usb_ids`: VID:PID of the probe's serial port, lower-case hex."""

    usart: int
    baud: int
    usb_ids: tuple[str, ...] = ()


class Emulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The program and machine name that stand in for the board."""

    command: str
    machine: str


class Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A board as boards/<name>.toml describes it.

    Attributes:
        clock_hz: wanted CPU clock; 0 where there is none.
        hse_hz: external clock or crystal the clock tree starts from; 0: the internal one.
        hse_bypass: the external one is a clock signal, not a crystal.
        ram: the first region takes data, bss and stack.
    """

    name: str
    title: str
    kind: Kind
    mcu: str
    cpu: str
    clock_hz: int
    probe: Literal["none", "stlink"]
    hse_hz: int = 0
    hse_bypass: bool = False
    platformio_env: str | None = None
    flash: Flash | None = None
    ram: tuple[RamRegion, ...] = ()
    serial: Serial | None = None
    emulator: Emulator | None = None

    @property
    def flash_bytes(self) -> int | None:
        """Flash for the whole image; None on `native`, which has no limit."""
        return self.flash.size_bytes if self.flash else None

    @property
    def ram_bytes(self) -> int | None:
        """The first RAM region, where data, bss and stack go; None on `native`."""
        return self.ram[0].size_bytes if self.ram else None


def list_boards(folder: Path | None = None) -> list[Board]:
    """All boards, sorted by name."""
    return [_read(path) for path in sorted(_folder(folder).glob("*.toml"))]


def load_board(name: str, folder: Path | None = None) -> Board:
    """The board called `name` ('-' and '_' count as the same letter).

    Raises:
        UsageError: there is no such board; near names are listed.
        BuildError: its description is malformed.
    """
    files = {path.stem: path for path in sorted(_folder(folder).glob("*.toml"))}
    for known, path in files.items():
        if known.replace("_", "-") == name.replace("_", "-"):
            return _read(path)
    near = difflib.get_close_matches(name.lower(), files, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"boards are {', '.join(files)}"
    raise UsageError("there is no such board", value=name, remedy=f"{hint} (semflash boards lists them)")


def _folder(folder: Path | None) -> Path:
    return folder if folder is not None else resources.root() / "boards"


def _read(path: Path) -> Board:
    """Parse and check one description."""
    try:
        data = path.read_bytes()
        if len(data) > _MAX_TOML_BYTES:
            raise ValueError(f"{len(data)} bytes is too long for a board description")
        board = msgspec.toml.decode(data, type=Board)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise BuildError(
            "the board's description is malformed", value=f"{path.name}: {error}", remedy="see docs/boards.md"
        ) from error
    problem = _problem(board, path.stem)
    if problem:
        raise BuildError(
            "the board's description contradicts itself",
            value=f"{path.name}: {problem}",
            remedy="see docs/boards.md",
        )
    return board


def _problem(board: Board, stem: str) -> str:
    """What is wrong with a description that parses; empty where nothing is."""
    if board.name != stem:
        return f"its name is {board.name!r}"
    if board.kind == "native":
        return ""
    for key in ("flash", "ram", "serial", "platformio_env"):
        if not getattr(board, key):
            return f"a board of kind {board.kind!r} needs {key}"
    if board.kind == "emulated" and board.emulator is None:
        return "a board of kind 'emulated' needs [emulator]"
    assert board.flash is not None and board.serial is not None
    sizes = [board.flash.size_bytes, *(region.size_bytes for region in board.ram)]
    if min(sizes) <= 0 or max(sizes) > 2**32:
        return f"a memory size is out of range: {sizes}"
    if board.clock_hz <= 0 or board.serial.baud <= 0 or board.serial.usart <= 0:
        return "clock_hz, baud and usart must be positive"
    return ""
