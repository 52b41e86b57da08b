"""The emulated board with a fault every second, for as long as wanted: counters, HELLO and stack at the end.

    python tests/soak/emulated_board.py --minutes 60

Every second one of: a burst, a lost frame, a doubled one, dropped bytes, a stall, a reset of the board in
mid-frame. Checks: no payload differs from the golden codes, images handed in = received + lost, every reset
was noticed, the device's own count of frames agrees with the host's, HELLO answers at the end, and the
stack's high-water mark stays.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from semflash.bundle import read_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.errors import LinkError
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator import emulator
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.outcome import Lost
from semflash.link.port import open_port
from semflash.link.session import Expected, Session

KINDS = ("burst", "lose", "duplicate", "drop", "stall", "reset")
_IMAGES = 64


class OncePerSecond:
    """Asks for one fault of the line each second; it happens at the next frame."""

    def __init__(self, faulty: FaultyPort, seed: int) -> None:
        self._lines, self._random = (faulty.up, faulty.down), np.random.default_rng(seed)
        self._next_s = time.monotonic() + 1.0

    def tick(self) -> None:
        """Call often."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + 1.0
        line = self._lines[int(self._random.integers(2))]
        kind = KINDS[int(self._random.integers(len(KINDS)))]
        line.once(kind, {"burst": 12, "drop": 5, "stall": 0.3}.get(kind, 0.0))


def main() -> int:
    """Build, start, run, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--bundle", default="fashion-mnist-48")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    bundle = read_bundle(chosen.bundle)
    pictures = np.random.default_rng(chosen.seed).integers(0, 256, (_IMAGES, *bundle.image_shape), np.uint8)
    rows, golden = to_int8(pictures, bundle.image_shape), GoldenEncoder(bundle).payloads(pictures)
    instance = f"soak-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        built = build(chosen.bundle, load_board("qemu-stm32f405"), out_dir=Path(folder) / "build")
        try:
            state = emulator.start_build(built, instance=instance)
            with open_port(state.port) as port:
                report = soak(port, Expected.of(bundle), rows, golden, instance, chosen)
        finally:
            emulator.discard(instance)
    json.dump(report, sys.stdout, indent=1)
    print()
    return 0


def soak(port, expected, rows, golden, instance, chosen) -> dict[str, object]:  # type: ignore[no-untyped-def]
    """The run itself.

    Raises:
        AssertionError: something does not add up.
    """
    resets = 0

    def reset() -> None:
        """Unless the host does not know of the last one yet: two of them look like one."""
        nonlocal resets
        if session.counters.restarts == resets:
            emulator.reset(instance)
            resets += 1

    faulty = FaultyPort(port, FaultSpec(), reset=reset)
    faults = OncePerSecond(faulty, chosen.seed)
    session = Session(faulty, expected, timeout_s=2.0, hello_attempts=10)
    began, handed, received, lost, wrong, errors = time.monotonic(), 0, 0, 0, 0, 0
    stacks: Counter[int] = Counter()

    def images():  # type: ignore[no-untyped-def]
        nonlocal handed
        while time.monotonic() - began < 60 * chosen.minutes:
            handed += 1
            yield handed - 1, rows[(handed - 1) % _IMAGES]

    source = images()
    finished = False
    while not finished:
        try:
            for outcome in session.stream(source):
                faults.tick()
                if isinstance(outcome, Lost):
                    lost += 1
                    continue
                received += 1
                wrong += not outcome.damaged and outcome.payload != golden[outcome.index % _IMAGES].tobytes()
                if outcome.stack_bytes:
                    stacks[outcome.stack_bytes] += 1
            finished = True
        except LinkError:
            errors += 1
            assert errors < 100
    faulty.stop()
    after = list(session.stream((handed + i, rows[i]) for i in range(5)))
    assert not any(isinstance(outcome, Lost) for outcome in after), "lost after the faults had ended"
    counters, stats = session.counters, session.link_stats()
    due = session.core.frame_due
    hello = session.connect()
    report = {
        "minutes": round((time.monotonic() - began) / 60, 2),
        "images": handed,
        "received": received,
        "lost": lost,
        "wrong": wrong,
        "link_errors": errors,
        "faults": faulty.log.by_name(),
        "resets": resets,
        "stack_bytes": {str(size): count for size, count in sorted(stacks.items())},
        "link": counters.as_dict(),
        "device": stats.__dict__,
        "uptime_s": hello.uptime_us / 1e6,
    }
    print(json.dumps(report["faults"]), file=sys.stderr)
    assert wrong == 0 and handed == received + lost, report
    assert counters.restarts == resets, report
    assert due == stats.sent + 1, (due, report)  # since the last reset, LINK_STATS itself included
    sent_here = counters.frames_ok + counters.frames_damaged + counters.frames_lost
    assert counters.restarts > 0 or sent_here - counters.frames_duplicate == stats.sent, report
    assert max(stacks) - min(stacks) <= 64, report
    return report


if __name__ == "__main__":
    raise SystemExit(main())
