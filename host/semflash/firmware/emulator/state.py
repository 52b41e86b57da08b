"""Which emulated boards run: one state file per board; safe against re-used process ids."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from semflash import atomic
from semflash.errors import DeviceError
from semflash.firmware.building.project import write_if_changed

_MAX_STATE_BYTES = 16 * 1024


class EmulatorState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A running emulated board.

    Attributes:
        board: its name.
        pid: The number of the process.
        birth: When the process began (boot id and start tick); together with the number this names it for
            ever.
        port: serial port to open, for instance /dev/pts/3; "": it is being started.
        image: the firmware file it was started with, and `image_sha256`, its digest then.
        bundle_hash: SHA-256 of the bundle's contract, hex.
        build_id: 32-bit id of the firmware's sources, hex.
        started_unix: seconds since 1970.
        monitor: pseudo terminal of the emulator's own command line; "": it has none.
    """

    board: str
    pid: int
    birth: str
    port: str
    image: str
    image_sha256: str
    bundle_hash: str
    build_id: str
    started_unix: float
    monitor: str = ""


def state_dir() -> Path:
    """The folder of the state files: SEMFLASH_STATE_DIR, else under the user's runtime or temporary folder.

    Raises:
        DeviceError: the folder belongs to somebody else.
    """
    override = os.environ.get("SEMFLASH_STATE_DIR")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if override:
        folder = Path(override)
    elif runtime and Path(runtime).is_dir():
        folder = Path(runtime) / "semflash"
    else:
        folder = Path(tempfile.gettempdir()) / f"semflash-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise DeviceError(
            "the folder for running emulators belongs to another user",
            value=folder,
            remedy="set SEMFLASH_STATE_DIR to a folder of your own",
        )
    return folder


def read(board: str) -> EmulatorState | None:
    """The state of `board` if it still runs. The file of a process that is gone is removed."""
    path = state_dir() / f"{board}.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        if len(data) > _MAX_STATE_BYTES:
            raise ValueError(f"{len(data)} bytes")
        state = msgspec.json.decode(data, type=EmulatorState)
    except (ValueError, msgspec.MsgspecError) as error:
        raise DeviceError(
            "the state file of the emulated board is damaged",
            value=f"{path}: {error}",
            remedy="end its qemu-system-arm process, if there is one, and remove the file",
        ) from error
    if birth(state.pid) == state.birth:
        return state
    path.unlink(missing_ok=True)
    return None


def running() -> list[EmulatorState]:
    """All emulated boards of this user that run."""
    states = (read(path.stem) for path in sorted(state_dir().glob("*.json")))
    return [state for state in states if state is not None]


def save(state: EmulatorState) -> None:
    """Record a running board."""
    write_if_changed(state_dir() / f"{state.board}.json", msgspec.json.encode(state))


def forget(board: str) -> None:
    """Remove the record of a board that was stopped."""
    (state_dir() / f"{board}.json").unlink(missing_ok=True)


def remove_files(instance: str) -> None:
    """Remove record, log and locks of an instance that nobody else starts; the lock, which names it, last."""
    record = state_dir() / f"{instance}.json"
    atomic.part_of(record).unlink(missing_ok=True)
    for name in (record.name, f"{instance}.log", f"board-{instance}.board-lock", f"{instance}.lock"):
        (state_dir() / name).unlink(missing_ok=True)


def remove_left(prefix: str) -> None:
    """Remove what killed processes left of instances called ``PREFIX<process id>`` that no longer run."""
    locks = (*state_dir().glob(f"{prefix}*.lock"), *state_dir().glob(f"board-{prefix}*.board-lock"))
    for name in {path.stem.removeprefix("board-") for path in locks}:
        number = name.removeprefix(prefix)
        if number.isdecimal() and birth(int(number)) is None and read(name) is None:
            remove_files(name)


def log_path(board: str) -> Path:
    """What the emulator prints."""
    return state_dir() / f"{board}.log"


@contextlib.contextmanager
def lock(board: str) -> Iterator[None]:
    """Only one process at a time starts or stops `board`."""
    with (state_dir() / f"{board}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def birth(pid: int) -> str | None:
    """When process `pid` began: "<boot id>:<clock ticks since boot>". None where it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
