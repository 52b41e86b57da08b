"""The emulated board as a process: start, replace, stop, and what happens when it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from semflash.errors import DeviceError, UsageError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.boards.inventory import inventory
from semflash.firmware.emulator import emulator
from semflash.firmware.emulator import state as emulator_state

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
]
BOARD = load_board("qemu-stm32f405")

SLEEPER = """
    .syntax unified
    .thumb
    .section .isr_vector,"a"
    .word 0x20020000
    .word reset + 1
    .text
    .thumb_func
reset:
    wfi
    b reset
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest firmware there is: it sleeps."""
    folder = tmp_path_factory.mktemp("sleeper")
    source, linked = folder / "sleeper.S", folder / "sleeper.elf"
    source.write_text(SLEEPER)
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-Wl,-Ttext=0x08000010"]
    command += ["-Wl,--section-start=.isr_vector=0x08000000", str(source), "-o", str(linked)]
    subprocess.run(command, check=True, capture_output=True)
    return linked


def _alive(pid: int) -> bool:
    return emulator_state.birth(pid) is not None


def test_a_started_board_has_a_port_and_is_listed(own_emulators: Path, image: Path) -> None:
    state = emulator.start(BOARD, image, bundle_hash="ab" * 32, build_id="12345678")
    assert Path(state.port).exists()
    assert emulator.status(BOARD.name) == state
    shown = next(status for status in inventory() if status.name == BOARD.name)
    assert shown.attached
    assert shown.ports == (state.port,)
    assert shown.bundle_hash == "ab" * 32


def test_starting_again_replaces_what_ran(own_emulators: Path, image: Path) -> None:
    first = emulator.start(BOARD, image)
    second = emulator.start(BOARD, image)
    assert first.pid != second.pid
    assert not _alive(first.pid)
    assert _alive(second.pid)


def test_stopping_ends_the_process_and_forgets_it(own_emulators: Path, image: Path) -> None:
    state = emulator.start(BOARD, image)
    assert emulator.stop(BOARD.name)
    assert not _alive(state.pid)
    assert emulator.status(BOARD.name) is None
    assert not emulator.stop(BOARD.name)


def test_a_killed_emulator_is_noticed(own_emulators: Path, image: Path) -> None:
    state = emulator.start(BOARD, image)
    os.kill(state.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _alive(state.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert emulator.status(BOARD.name) is None
    assert not (own_emulators / f"{BOARD.name}.json").exists()


def test_a_foreign_process_with_the_same_number_is_left_alone(own_emulators: Path, image: Path) -> None:
    state = emulator.start(BOARD, image)
    emulator.stop(BOARD.name)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale = msgspec.structs.replace(state, pid=bystander.pid)
        emulator_state.save(stale)
        assert emulator.status(BOARD.name) is None
        assert not emulator.stop(BOARD.name)
        assert bystander.poll() is None
        bystander.kill()


def test_a_damaged_state_file_is_an_error_that_names_it(own_emulators: Path) -> None:
    own_emulators.mkdir(mode=0o700)
    (own_emulators / f"{BOARD.name}.json").write_text("{")
    with pytest.raises(DeviceError, match="damaged") as caught:
        emulator.status(BOARD.name)
    assert "remove the file" in caught.value.remedy
    (own_emulators / f"{BOARD.name}.json").unlink()


def test_an_image_that_is_not_firmware_is_refused(own_emulators: Path, image: Path, tmp_path: Path) -> None:
    bad, content = tmp_path / "bad.elf", image.read_bytes()
    for damaged in (b"", b"\x7fELF" + bytes(60), content[:80], content[: len(content) // 2], bytes(100_000)):
        bad.write_bytes(damaged)
        with pytest.raises(DeviceError, match="no firmware for ARM"):
            emulator.start(BOARD, bad)
    with pytest.raises(DeviceError, match="no firmware image"):
        emulator.start(BOARD, tmp_path / "missing.elf")
    assert emulator.status(BOARD.name) is None


def test_an_emulator_that_refuses_its_options_is_an_error_and_leaves_nothing(
    own_emulators: Path, image: Path
) -> None:
    assert BOARD.emulator is not None
    broken = msgspec.structs.replace(BOARD.emulator, machine="no-such-machine")
    with pytest.raises(DeviceError, match="ended at once") as caught:
        emulator.start(msgspec.structs.replace(BOARD, emulator=broken), image)
    assert "machine" in str(caught.value.value)
    assert emulator.status(BOARD.name) is None


def test_a_real_board_cannot_be_emulated(own_emulators: Path, image: Path) -> None:
    with pytest.raises(UsageError, match="not emulated"):
        emulator.start(load_board("nucleo_f446re"), image)


def test_the_state_folder_of_another_user_is_refused(
    own_emulators: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(folder))
    with pytest.raises(DeviceError, match="another user"):
        emulator_state.state_dir()
    monkeypatch.undo()
