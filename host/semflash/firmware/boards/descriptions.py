"""Boards: one TOML description each, in boards/, checked against the schema below."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from pathlib import Path
from typing import Literal

import msgspec

from semflash.errors import BuildError, UsageError
from semflash.firmware import resources
from semflash.firmware.boards import clock_tree
from semflash.firmware.boards.clock_tree import Clock

Kind = Literal["native", "emulated", "hardware"]
PortName = Literal["native", "stm32f4", "stm32cube"]
DEFAULT_BOARD = "qemu-stm32f405"
FOLDER_VARIABLE = "SEMFLASH_BOARDS_DIR"
_MAX_TOML_BYTES = 64 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}")
_USB_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
#: Serial ports each port of device/port can use.
_USARTS = {"stm32f4": (1, 2), "stm32cube": (1, 2, 3)}


class FlashCache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The caches between flash and core, for estimates of cycles.

    Attributes:
        lines: Of the cache of instructions.
        data_lines: Of the cache of constants; lines are as long.
        line_bytes: Of either.
        read_bytes: What the flash reads at once.
        prefetch: The firmware's port switches reading ahead on.
    """

    lines: int
    data_lines: int
    line_bytes: int
    read_bytes: int
    prefetch: bool


class Flash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Flash memory: `origin` is its address, `size_bytes` its size, `cache` lies before it; None: unknown."""

    origin: int
    size_bytes: int
    cache: FlashCache | None = None


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
        port: Folder of device/port that runs it.
        clock_hz: Wanted CPU clock; 0 where there is none.
        clock: How it is made.
        platformio_env: Environment in platformio.ini.
        platformio_board: PlatformIO's name of the board, where the environment is not in platformio.ini and
            the build has to write it.
        ram: The first region takes data, bss and stack.
        watchdog_ms: The independent watchdog resets a firmware that hangs for so long; 0: off.
    """

    name: str
    title: str
    kind: Kind
    mcu: str
    cpu: str
    clock_hz: int
    probe: Literal["none", "stlink"]
    port: PortName = "native"
    platformio_env: str | None = None
    platformio_board: str | None = None
    flash: Flash | None = None
    ram: tuple[RamRegion, ...] = ()
    clock: Clock | None = None
    watchdog_ms: int = 0
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
    return [_read(path) for path in _files(folder).values()]


def load_board(name: str, folder: Path | None = None) -> Board:
    """The board called `name` ('-' and '_' count as the same letter).

    Args:
        folder: of the descriptions; semflash's own and those of :func:`own_folder` when None.

    Raises:
        UsageError: there is no such board; near names are listed.
        BuildError: its description is malformed.
    """
    files = _files(folder)
    for known, path in files.items():
        if known.replace("_", "-") == name.replace("_", "-"):
            return _read(path)
    near = difflib.get_close_matches(name.lower(), files, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"boards are {', '.join(files)}"
    raise UsageError("there is no such board", value=name, remedy=f"{hint} (semflash boards lists them)")


def own_folder() -> Path:
    """Where the user's own descriptions are: SEMFLASH_BOARDS_DIR, else boards/ in the working directory."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "boards").absolute()


def parse_board(data: bytes, stem: str) -> Board:
    """A description's text, checked. stem: of its file's name.

    Raises:
        BuildError: it is malformed or contradicts itself.
    """
    try:
        if len(data) > _MAX_TOML_BYTES:
            raise ValueError(f"{len(data)} bytes is too long for a board description")
        board = msgspec.toml.decode(data, type=Board)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BuildError(
            "the board's description is malformed", value=f"{stem}.toml: {error}", remedy="see docs/boards.md"
        ) from error
    problem = _problem(board, stem)
    if problem:
        raise BuildError(
            "the board's description contradicts itself",
            value=f"{stem}.toml: {problem}",
            remedy="see docs/boards.md",
        )
    return board


def _files(folder: Path | None) -> dict[str, Path]:
    """Descriptions by name. semflash's own come before the user's of the same name."""
    folders = [folder] if folder is not None else [own_folder(), resources.root() / "boards"]
    found = {path.stem: path for place in folders for path in place.glob("*.toml")}
    return dict(sorted(found.items()))


def _read(path: Path) -> Board:
    """Parse and check one description."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BuildError(
            "the board's description cannot be read", value=f"{path}: {error.strerror}"
        ) from error
    return parse_board(data, path.stem)


def _problem(board: Board, stem: str) -> str:
    """What is wrong with a description that parses; empty where nothing is."""
    if board.name != stem:
        return f"its name is {board.name!r}"
    if not _NAME.fullmatch(board.name):
        return "a name has 1 to 24 of the characters a-z, 0-9, - and _"
    if board.kind == "native":
        return ""
    for key in ("flash", "ram", "clock", "serial", "platformio_env"):
        if not getattr(board, key):
            return f"a board of kind {board.kind!r} needs {key}"
    if board.kind == "emulated" and board.emulator is None:
        return "a board of kind 'emulated' needs [emulator]"
    assert board.flash is not None and board.serial is not None and board.clock is not None
    if board.port == "native":
        return f"a board of kind {board.kind!r} needs port, one of {', '.join(_USARTS)}"
    if board.watchdog_ms and not 2000 <= board.watchdog_ms <= 32_000:
        return "watchdog_ms is 0 (off) or 2000 to 32000"
    problem = _memory_problem(board.flash, board.ram) or _serial_problem(board.serial, board.port)
    problem = problem or _cache_problem(board.flash.cache)
    return problem or clock_tree.problem(board.clock, board.clock_hz, board.mcu)


def _memory_problem(flash: Flash, ram: tuple[RamRegion, ...]) -> str:
    """Sizes, addresses and overlaps."""
    regions = [("flash", flash.origin, flash.size_bytes), *((r.name, r.origin, r.size_bytes) for r in ram)]
    for name, origin, size in regions:
        if size <= 0 or origin < 0 or origin + size > 2**32:
            return f"a memory size is out of range: {name} at {origin:#x}, {size} bytes"
    ends = sorted((origin, origin + size, name) for name, origin, size in regions)
    for (_, end, name), (start, _, other) in itertools.pairwise(ends):
        if start < end:
            return f"{name} and {other} overlap"
    return ""


def _cache_problem(cache: FlashCache | None) -> str:
    """Sizes that no estimate can work with."""
    if cache is None:
        return ""
    if not (0 <= cache.lines <= 256 and 0 <= cache.data_lines <= 256):
        return "a flash cache has 0 to 256 lines"
    sizes = (cache.line_bytes, cache.read_bytes)
    if any(size not in (4, 8, 16, 32, 64, 128) for size in sizes) or cache.read_bytes > cache.line_bytes:
        return "line_bytes and read_bytes are powers of two from 4 to 128, a read no longer than a line"
    if max(cache.lines, cache.data_lines) * cache.line_bytes > 256 * cache.read_bytes:
        return "a flash cache holds 256 reads at most"
    return ""


def _serial_problem(serial: Serial, port: str) -> str:
    """What the port cannot do."""
    if serial.baud <= 0 or serial.usart <= 0:
        return "baud and usart must be positive"
    if serial.usart not in _USARTS[port]:
        return f"port {port} has no USART{serial.usart}, but {', '.join(map(str, _USARTS[port]))}"
    odd = [usb_id for usb_id in serial.usb_ids if not _USB_ID.fullmatch(usb_id)]
    return f"usb_ids are written like 0483:374b, not {odd[0]!r}" if odd else ""
