"""The emulated board: QEMU as a process that stays up, with a pseudo terminal as its serial port.

A pty behaves like a serial port: monitors attach, detach and attach again while the board runs on. QEMU
counts instructions (`-icount shift=0`: one instruction is one virtual nanosecond), so device counters repeat.

    python -m semflash.firmware.emulator.emulator start --build-dir build/NAME-qemu-stm32f405

is what PlatformIO's upload calls.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from semflash.errors import DeviceError, SemflashError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.descriptions import Board, load_board
from semflash.firmware.building import platformio
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import qemu
from semflash.firmware.emulator import state as emulator_state
from semflash.firmware.emulator.state import EmulatorState
from semflash.processes import children
from semflash.processes.orderly_end import OrderlyEnd, Terminated

STOP_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 5.0
SETTLE_S = 0.2
#: A process number: emulated boards that are started end when that process does, not when they are stopped.
UNTIL_VARIABLE = "SEMFLASH_EMULATOR_UNTIL"


def start(
    board: Board,
    image: Path,
    *,
    bundle_hash: str = "",
    build_id: str = "",
    instance: str | None = None,
    stays: bool = True,
    plugin: str = "",
) -> EmulatorState:
    """Start `board` with `image`, in place of what ran there, and return when its serial port exists.

    Args:
        instance: name to run under, beside the board of that kind that may run; the board's own when None.
        stays: it stays up when this process ends, once it is up; False: it ends with this process.
        plugin: for QEMU to load, see :func:`qemu.command`.

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
    qemu.check_image(image)
    arguments = qemu.command(board, image, plugin)
    name = instance or board.name
    state = EmulatorState(
        board=name,
        pid=0,
        birth="",
        port="",
        image=str(image),
        image_sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
        bundle_hash=bundle_hash,
        build_id=build_id,
        started_unix=time.time(),
    )
    with emulator_state.lock(name):
        _stop_locked(name)
        state = _start_locked(state, arguments)
        if stays:
            if until := os.environ.get(UNTIL_VARIABLE, ""):
                children.tie(state.pid, int(until))
            children.release(state.pid)
    return state


def _start_locked(state: EmulatorState, arguments: list[str]) -> EmulatorState:
    """Start QEMU, which ends with this process at the latest; the caller holds the board's lock.

    It is recorded before it begins, so that it never runs unknown to those who would stop it.
    """
    log = emulator_state.log_path(state.board)

    def record(pid: int) -> None:
        began = emulator_state.birth(pid)
        if began is None:
            raise qemu.ended(log)
        emulator_state.save(msgspec.structs.replace(state, pid=pid, birth=began))

    with log.open("wb") as output:
        process = children.start(arguments, known=record, stdout=output, stderr=subprocess.STDOUT, cwd="/")
    try:
        port, monitor = qemu.wait_for_ports(process, log)
        time.sleep(SETTLE_S)  # QEMU opens the port before it loads the firmware
        began = emulator_state.birth(process.pid)
        if process.poll() is not None or began is None:
            raise qemu.ended(log)
        state = msgspec.structs.replace(state, pid=process.pid, birth=began, port=port, monitor=monitor)
        emulator_state.save(state)
    except BaseException:
        children.end(process)
        emulator_state.forget(state.board)
        raise
    return state


def start_build(
    built: BuildResult, *, instance: str | None = None, stays: bool = True, plugin: str = ""
) -> EmulatorState:
    """`start` the board that `built` is for, with its image."""
    return start(
        load_board(built.board),
        built.image_path,
        bundle_hash=built.bundle_hash,
        build_id=built.build_id,
        instance=instance,
        stays=stays,
        plugin=plugin,
    )


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
    """The running board `name`, or None, also while it is being started."""
    state = emulator_state.read(name)
    return state if state is not None and state.port else None


def reset(name: str) -> None:
    """Reset the running board `name` as its reset button would; memory keeps its contents.

    Raises:
        DeviceError: it does not run, or its emulator takes no commands.
    """
    state = status(name)
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
    children.release(pid)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


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
        with OrderlyEnd():
            return _obey(chosen)
    except SemflashError as error:
        print(platformio.error_line(error) if chosen.verb == "start" else error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        return error.exit_code if isinstance(error, Terminated) else 130


def _obey(chosen: argparse.Namespace) -> int:
    """Start or stop what the command line names; a board that somebody else uses is left alone."""
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


if __name__ == "__main__":
    raise SystemExit(main())
