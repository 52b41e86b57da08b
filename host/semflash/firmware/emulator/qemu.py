"""QEMU: its command line, the images it takes, and what it says when it starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from semflash.errors import DeviceError, ToolMissingError, UsageError
from semflash.firmware.boards.descriptions import Board

START_TIMEOUT_S = 15.0
_PTY_LINE = re.compile(r"char device redirected to (/dev/\S+) \(label (\w+)\)")
_MONITOR_LABEL = "compat_monitor0"


def command(board: Board, image: Path, plugin: str = "") -> list[str]:
    """The emulator's command line for `board` with firmware `image` (ELF).

    Args:
        plugin: a library to load and its arguments, as QEMU's -plugin takes them; none when empty.

    Raises:
        UsageError: the board is not an emulated one.
        ToolMissingError: the emulator is not installed.
    """
    if board.emulator is None or board.serial is None:
        raise UsageError(
            "this board is not emulated", value=board.name, remedy="semflash boards lists the kinds"
        )
    program = shutil.which(board.emulator.command)
    if program is None:
        raise ToolMissingError(
            "the emulator is not installed",
            value=board.emulator.command,
            remedy=f"apt-get install {board.emulator.command}",
        )
    serials: list[str] = []
    for usart in range(1, board.serial.usart + 1):  # USART1 is QEMU's serial 0
        serials += ["-serial", "pty" if usart == board.serial.usart else "null"]
    fixed = ["-display", "none", "-monitor", "pty", "-icount", "shift=0"]
    fixed += ["-plugin", plugin] if plugin else []
    return [program, "-M", board.emulator.machine, *fixed, *serials, "-kernel", str(image)]


def check_image(image: Path) -> None:
    """Refuse what QEMU would take for a raw binary or fail on.

    Raises:
        DeviceError: no file, or not an ELF file for ARM.
    """
    if not image.is_file():
        raise DeviceError("there is no firmware image", value=image, remedy="semflash build first")
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    size = image.stat().st_size
    try:
        with image.open("rb") as file:
            elf = ELFFile(file)
            ends = [segment["p_offset"] + segment["p_filesz"] for segment in elf.iter_segments("PT_LOAD")]
            good = elf["e_machine"] == "EM_ARM" and bool(ends) and max(ends) <= size
    except (ELFError, OSError):
        good = False
    if not good:
        raise DeviceError("this is no firmware for ARM", value=image, remedy="semflash build again")


def wait_for_ports(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The pseudo terminals of serial port and monitor, which QEMU tells of in its first lines."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        found = {label: path for path, label in _PTY_LINE.findall(log.read_text("utf-8", errors="replace"))}
        monitor = found.pop(_MONITOR_LABEL, None)
        if monitor and found:
            return next(iter(found.values())), monitor
        if process.poll() is not None:
            raise ended(log)
        time.sleep(0.02)
    raise DeviceError(
        "the emulator opened no serial port", value=f"{START_TIMEOUT_S:.0f} s", remedy=f"see {log}"
    )


def ended(log: Path) -> DeviceError:
    """The error for an emulator that ended while it was starting."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return DeviceError(
        "the emulator ended at once",
        value=lines[-1] if lines else "it printed nothing",
        remedy=f"see {log}; semflash doctor checks the emulator",
    )
