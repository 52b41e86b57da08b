"""The emulated board: QEMU as a process that stays up, with a pseudo terminal as its serial port.

A pty behaves like a serial port: monitors attach, detach and attach again while the board runs on. QEMU
counts instructions (`-icount shift=0`: one instruction is one virtual nanosecond), so device counters repeat.

    python -m semflash.firmware.emulator.emulator start --build-dir build/NAME-qemu-stm32f405

is what PlatformIO's upload calls.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from semflash.errors import DeviceError, SemflashError, ToolMissingError, UsageError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import Board, load_board
from semflash.firmware.building import platformio
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import state as emulator_state
from semflash.firmware.emulator.state import EmulatorState

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 5.0
SETTLE_S = 0.2
_PTY_LINE = re.compile(r"char device redirected to (/dev/\S+) \(label (\w+)\)")
_MONITOR_LABEL = "compat_monitor0"


def command(board: Board, image: Path) -> list[str]:
    """The emulator's command line for `board` with firmware `image` (ELF).

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
    return [program, "-M", board.emulator.machine, *fixed, *serials, "-kernel", str(image)]


def start(
    board: Board, image: Path, *, bundle_hash: str = "", build_id: str = "", instance: str | None = None
) -> EmulatorState:
    """Start `board` with `image`, in place of what ran there, and return when its serial port exists.

    Args:
        instance: name to run under, beside the board of that kind that may run; the board's own when None.

    Raises:
        DeviceError: the image is missing, or the emulator ended at once.
    """
    if not hasattr(os, "pidfd_open"):
        raise DeviceError(
            "the emulated board needs Linux 5.3 or later",
            value=sys.platform,
            remedy="--board native runs everywhere",
        )
    image = image.resolve()
    check_image(image)
    arguments = command(board, image)
    name = instance or board.name
    with emulator_state.lock(name):
        _stop_locked(name)
        log = emulator_state.log_path(name)
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        try:
            port, monitor = _wait_for_ports(process, log)
            time.sleep(SETTLE_S)  # QEMU opens the port before it loads the firmware
            began = emulator_state.birth(process.pid)
            if process.poll() is not None or began is None:
                raise _ended(log)
            state = EmulatorState(
                board=name,
                pid=process.pid,
                birth=began,
                port=port,
                image=str(image),
                image_sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
                bundle_hash=bundle_hash,
                build_id=build_id,
                started_unix=time.time(),
                monitor=monitor,
            )
            emulator_state.save(state)
        except BaseException:
            process.kill()
            process.wait()
            raise
    return state


def start_build(built: BuildResult, *, instance: str | None = None) -> EmulatorState:
    """`start` the board that `built` is for, with its image."""
    return start(
        load_board(built.board),
        built.image_path,
        bundle_hash=built.bundle_hash,
        build_id=built.build_id,
        instance=instance,
    )


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


def stop(name: str) -> bool:
    """Stop the emulated board `name`. True where one ran."""
    with emulator_state.lock(name):
        return _stop_locked(name)


def discard(instance: str) -> None:
    """Stop an instance that will not come again, and remove its log and lock."""
    stop(instance)
    emulator_state.remove_files(instance)


def stop_all() -> list[str]:
    """Stop every emulated board of this user; the names of those that ran."""
    return [state.board for state in emulator_state.running() if stop(state.board)]


def status(name: str) -> EmulatorState | None:
    """The running board `name`, or None."""
    return emulator_state.read(name)


def reset(name: str) -> None:
    """Reset the running board `name` as its reset button would; memory keeps its contents.

    Raises:
        DeviceError: it does not run, or its emulator takes no commands.
    """
    state = emulator_state.read(name)
    if state is None:
        raise DeviceError("the emulated board does not run", value=name, remedy="semflash flash starts it")
    try:
        terminal = os.open(state.monitor, os.O_RDWR | os.O_NOCTTY)
        try:
            _reset_through(terminal, state.monitor)
        finally:
            os.close(terminal)
    except OSError as error:  # also where the emulator ends in between
        raise _deaf(state.monitor or name) from error


def _reset_through(terminal: int, where: str) -> None:
    """Give the command to the emulator's own command line, and wait until it has obeyed."""
    os.write(terminal, b"system_reset\n")
    heard, deadline = b"", time.monotonic() + COMMAND_TIMEOUT_S
    # The emulator looks once per second whether somebody is there; its prompt says that it has obeyed.
    while not re.search(rb"system_reset.*\(qemu\)", heard, re.DOTALL):
        if time.monotonic() > deadline:
            raise _deaf(where)
        if select.select([terminal], [], [], 0.05)[0]:
            said = os.read(terminal, 4096)
            if not said:
                raise _deaf(where)  # the emulator has ended
            heard += said


def _deaf(where: str) -> DeviceError:
    return DeviceError("the emulator takes no commands", value=where, remedy="semflash flash again")


def _wait_for_ports(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The pseudo terminals of serial port and monitor, which QEMU tells of in its first lines."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        found = {label: path for path, label in _PTY_LINE.findall(log.read_text("utf-8", errors="replace"))}
        monitor = found.pop(_MONITOR_LABEL, None)
        if monitor and found:
            return next(iter(found.values())), monitor
        if process.poll() is not None:
            raise _ended(log)
        time.sleep(0.02)
    raise DeviceError(
        "the emulator opened no serial port", value=f"{START_TIMEOUT_S:.0f} s", remedy=f"see {log}"
    )


def _ended(log: Path) -> DeviceError:
    """The error for an emulator that ended while it was starting."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return DeviceError(
        "the emulator ended at once",
        value=lines[-1] if lines else "it printed nothing",
        remedy=f"see {log}; semflash doctor checks the emulator",
    )


def _stop_locked(name: str) -> bool:
    """End the recorded process of `name` and nothing else; the caller holds the board's lock."""
    state = emulator_state.read(name)
    if state is None:
        return False
    try:
        handle = os.pidfd_open(state.pid)
    except ProcessLookupError:
        emulator_state.forget(name)
        return False
    try:
        # The handle names one process for ever: if its birth matches now, the signal reaches no other.
        if emulator_state.birth(state.pid) == state.birth:
            _end(handle, state)
    finally:
        os.close(handle)
    emulator_state.forget(name)
    return True


def _end(handle: int, state: EmulatorState) -> None:
    """SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if emulator_state.birth(state.pid) != state.birth:
                _reap(state.pid)
                return
            time.sleep(0.01)
    raise DeviceError(
        "the emulator does not end", value=f"process {state.pid}", remedy="end it by hand, then try again"
    )


def _reap(pid: int) -> None:
    """Collect the process if it was a child of this one (an upload's is not)."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Entry point for PlatformIO's upload_command. Exit codes as in semflash.errors."""
    parser = argparse.ArgumentParser(
        prog="python -m semflash.firmware.emulator.emulator", description=__doc__
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    starter = verbs.add_parser("start", help="start a board with the firmware of a build folder")
    starter.add_argument("--build-dir", type=Path, required=True)
    stopper = verbs.add_parser("stop", help="stop a board")
    stopper.add_argument("board")
    chosen = parser.parse_args(arguments)
    try:
        built = None if chosen.verb == "stop" else BuildResult.load(chosen.build_dir)
        board = chosen.board if built is None else built.board
        name, what = board_lock.emulated_key(board), f"emulator {chosen.verb}"
        with board_lock.hold(name, what=what, or_ancestor=True):  # semflash flash has it, where it calls us
            if built is None:
                print(f"{board}: {'stopped' if stop(board) else 'was not running'}")
                return 0
            state = start_build(built)
        print(f"{state.board}: running, process {state.pid}, serial port {state.port}")
        return 0
    except SemflashError as error:
        print(platformio.error_line(error) if chosen.verb == "start" else error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
