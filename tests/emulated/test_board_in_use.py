"""Who uses a board holds it: nobody flashes, stops or restarts it meanwhile, and all are told who it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from semflash.bench.run import flashed
from semflash.cli.main import main
from semflash.data.registry import DEBIAN_FASHION_MNIST
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="qemu-system-arm or arm-none-eabi-gcc is not installed",
    ),
    pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Fashion-MNIST is not installed"),
]
TINY = Path(__file__).resolve().parents[1] / "vectors" / "tiny.semcodec"
NAME = "qemu-stm32f405"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(TINY, load_board(NAME), out_dir=tmp_path_factory.mktemp("firmware"))


class Monitor:
    """`semflash monitor --loop` as a process of its own, which prints its records."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "semflash.cli", "monitor", str(TINY), "--loop", "--jsonl", *flags]
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
        )

    def wait_for(self, kind: str) -> dict[str, Any]:
        """The next record of this kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if (record := json.loads(line))["kind"] == kind:
                return dict(record)
        raise AssertionError(f"it ended with {self.process.wait()} before any {kind!r}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def monitor(own_emulators: Path, built: BuildResult) -> Iterator[Monitor]:
    """A monitor in the middle of a run on a board that was just started."""
    emulator.start_build(built)
    running = Monitor("--reconnect", "60")
    try:
        running.wait_for("image")
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_a_board_that_a_monitor_uses_is_neither_flashed_nor_stopped_nor_started_again(
    monitor: Monitor, built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    state = emulator.status(NAME)
    for command in (["flash", "--out", built.directory], ["boards", "--stop"], ["flash", "--stop"]):
        assert main([*command, "--json"]) == 3
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["kind"] == "board-busy"
        assert f"process {monitor.process.pid} (semflash monitor)" in error["value"]
        assert f"kill {monitor.process.pid}" in error["remedy"]
    assert emulator.main(["start", "--build-dir", built.directory]) == 3  # pio run -t upload by hand
    assert main(["monitor", str(TINY), "--count", "1"]) == 3
    assert "semflash monitor" in capsys.readouterr().err
    assert emulator.status(NAME) == state
    monitor.wait_for("image")
    assert monitor.end(signal.SIGINT) == 130
    assert main(["flash", "--out", built.directory, "--json"]) == 0, "free as soon as it has ended"
    assert main(["boards", "--stop"]) == 0


def test_while_a_monitor_waits_for_its_board_the_board_may_be_flashed_again(
    monitor: Monitor, built: BuildResult
) -> None:
    state = emulator.status(NAME)
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    monitor.wait_for("disconnected")
    assert main(["flash", "--out", built.directory, "--json"]) == 0
    monitor.wait_for("reconnected")
    monitor.wait_for("image")
    assert main(["flash", "--out", built.directory]) == 3, "it holds its board again"
    assert monitor.end(signal.SIGINT) == 130


def test_the_instance_that_a_bench_measures_is_not_stopped_by_others_and_leaves_no_file(
    own_emulators: Path, built: BuildResult
) -> None:
    stop = [sys.executable, "-m", "semflash.cli", "boards", "--stop"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with flashed(built) as instance:
        done = subprocess.run(stop, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 3 and f"process {os.getpid()} (semflash bench)" in done.stderr
        assert emulator.status(instance) is not None
    assert emulator.status(instance) is None
    assert not list(own_emulators.glob("*bench-*"))
