"""Kills commands at random moments, with SIGKILL and SIGTERM, and looks for what survives them.

    python tests/soak/kills.py --kills 200

Commands: `bench` on the emulated board, the emulator's start, and `flash`, which starts it by PlatformIO.
Nothing may survive but an emulated board that is up, which `semflash boards --stop` knows and stops.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator import emulator, state

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "vectors" / "tiny.semcodec"
BOARD = "qemu-stm32f405"
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
ORDER = ("start", "bench", "start", "flash", "start", "bench", "start", "flash", "start", "bench")
END_TIMEOUT_S = 20.0
_MARK = "SEMFLASH_KILL_TEST"


@dataclass
class Report:
    """What the kills met.

    Attributes:
        kills: by command and signal. codes: exit codes. boards: boards that were up and known afterwards.
        survivors: command lines of processes that should not have survived.
    """

    kills: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    boards: int = 0
    survivors: list[str] = field(default_factory=list)


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands to kill; `folder` gets a build for those that flash."""
    built = build(TINY, load_board(BOARD), out_dir=folder / "firmware").directory
    verb = [sys.executable, "-m", "semflash.cli"]
    return {
        "start": [sys.executable, "-m", "semflash.firmware.emulator.emulator", "start", "--build-dir", built],
        "bench": [*verb, "bench", str(TINY), "--images", "50", "--no-layers"],
        "flash": [*verb, "flash", "--out", built],
    }


def kill_at_random(folder: Path, kills: int, seed: int) -> Report:
    """Kill the commands in turn, at moments between their start and the time that they take undisturbed.

    Of ten kills five are of the start, three of bench, two of flash; they take longer.

    Args:
        folder: empty, for builds; commands run there.
    """
    chance, report = random.Random(seed), Report()
    whole = commands(folder)
    lasts = {name: _run(command, folder, None, None, report) for name, command in whole.items()}
    lasts["bench"] = _run(whole["bench"], folder, None, None, report)  # the first time it compiles all
    for count in range(kills):
        name = ORDER[count % len(ORDER)]
        number = SIGNALS[count // len(ORDER) % len(SIGNALS)]
        _run(whole[name], folder, number, chance.uniform(0.0, lasts[name]), report)
        report.kills[f"{name} {number.name}"] += 1
    return report


def _run(
    command: list[str], folder: Path, number: signal.Signals | None, after_s: float | None, report: Report
) -> float:
    """Run a command, kill it after `after_s`, and look for survivors; returns how long it ran."""
    mark = uuid.uuid4().hex
    environment = {key: value for key, value in os.environ.items() if key != emulator.UNTIL_VARIABLE}
    environment |= {_MARK: mark, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        if number is not None:
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        code = process.wait(timeout=120)
    seconds = time.monotonic() - began
    if number is None:
        assert code == 0, f"{command} ended with {code}"
    report.codes[code] += 1
    report.survivors += _survivors(mark, report)
    return seconds


def _survivors(mark: str, report: Report) -> list[str]:
    """What still runs of a command after a while; a board that is up and known is stopped, and none of it."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline:
        up = emulator.status(BOARD)
        left = {pid: words for pid, words in _marked(mark).items() if up is None or pid != up.pid}
        if not left:
            break
        time.sleep(0.05)
    report.boards += up is not None
    assert all(run.port for run in state.running()), "a board that was never up is still recorded"
    emulator.stop_all()
    return [*left.values(), *(f"after boards --stop: {words}" for words in _marked(mark).values())]


def _marked(mark: str) -> dict[int, str]:
    """Command lines of the processes that a command has started, itself and zombies left out."""
    found = {}
    for path in Path("/proc").glob("[1-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (
                    (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
        except OSError:
            continue
    return found


def main() -> int:
    """Kill, report; 1 where something survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEMFLASH_STATE_DIR"] = str(Path(folder) / "state")
        began = time.monotonic()
        report = kill_at_random(Path(folder), chosen.kills, chosen.seed)
    print(f"{sum(report.kills.values())} kills in {time.monotonic() - began:.0f} s: {dict(report.kills)}")
    print(f"exit codes {dict(report.codes)}, boards that were up and known {report.boards}")
    print(f"{len(report.survivors)} survivors", *report.survivors, sep="\n  ")
    return 1 if report.survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
