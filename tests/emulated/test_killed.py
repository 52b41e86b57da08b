"""What is killed at any moment leaves no process behind but a board that is up and known."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from semflash.firmware.emulator import emulator, state
from soak.kills import SIGNALS, kill_at_random

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="qemu-system-arm or arm-none-eabi-gcc is not installed",
    ),
]
KILLS = 20


@pytest.mark.timeout(900)
def test_nothing_survives_twenty_kills_of_bench_start_and_flash(own_emulators: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    report = kill_at_random(folder, KILLS, seed=11)
    assert not report.survivors
    assert sum(report.kills.values()) == KILLS and len(report.kills) == 3 * len(SIGNALS)
    assert -signal.SIGKILL in report.codes and 143 in report.codes
    assert state.running() == []
    state.remove_left("bench-")
    assert not list(own_emulators.glob("*bench-*"))
    assert emulator.status("qemu-stm32f405") is None
