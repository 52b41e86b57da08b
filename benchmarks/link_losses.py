"""Throughput of board native when whole image periods of bytes are lost: writes a table into docs/link.md.

    semflash build fashion-mnist-48 --board native
    python benchmarks/link_losses.py build/fashion-mnist-48-native/libsemflash_device.so [--write]

Host, line and device share one process. Time is what its processor spends, and every wait in full, so that
the figure is that of an idle computer, whatever else runs on this one. Without decoding.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from doc_block import LINK_PAGE, table, write_block

from semflash.bundle.reader import read_bundle
from semflash.errors import LinkError
from semflash.firmware.emulator.native import NativePort
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.outcome import Received
from semflash.link.session import Expected, Session

RATES = (0.0, 5e-4, 1e-3, 2e-3, 4e-3)
PERIOD_BYTES = 136
IMAGES = 1000
HEAD = ["`up.drop`", "images received", "lost", "sent again", "asked HELLO", "images/s"]


class Clock:
    """Processor time and waits; nobody waits really."""

    def __init__(self) -> None:
        self._waited_s = 0.0

    def __call__(self) -> float:
        return time.process_time() + self._waited_s

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._waited_s += seconds


def measure(library: Path, expected: Expected, rate: float, seed: int) -> list[str]:
    """One row of the table."""
    pixels = np.random.default_rng(seed).integers(-128, 128, (IMAGES, expected.rows, expected.row_bytes, 1))
    clock, received, error = Clock(), 0, ""
    with NativePort(library, timeout=0.0) as native:
        spec = FaultSpec.parse(f"up.drop={rate}:{PERIOD_BYTES};seed={seed}")
        faulty = FaultyPort(native, spec, clock=clock, sleep=clock.sleep)
        session = Session(faulty, expected, clock=clock)
        began_s = clock()
        try:
            for outcome in session.stream(enumerate(pixels.astype(np.int8))):
                received += isinstance(outcome, Received)
        except LinkError as failed:
            error = f" ({failed.kind})"
        seconds = clock() - began_s
    counters = session.counters
    return [
        f"{rate:g}:{PERIOD_BYTES}",
        f"{received:,} of {IMAGES:,}{error}",
        str(counters.images_lost),
        str(counters.images_resent),
        str(counters.resyncs),
        f"{received / seconds:,.0f}",
    ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--bundle", default="fashion-mnist-48")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the table into docs/link.md")
    chosen = parser.parse_args()
    expected = Expected.of(read_bundle(chosen.bundle))
    block = table(HEAD, [measure(chosen.library, expected, rate, chosen.seed) for rate in RATES])
    print(block)
    if chosen.write:
        write_block(LINK_PAGE, "losses", "link_losses.py", block)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
