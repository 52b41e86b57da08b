"""Frames by the hundred thousand through a bad line to the device's own C, every fault at once, all
accounted for.

    python tests/soak/link_frames.py --frames 1000000 --seed 1

Checks, at the end: no image has another's codes; every image has one outcome; every frame that the device
sent came, or is counted as lost, exactly; after the faults end the line is in order within one frame; no
memory grows.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash.errors import LinkError
from semflash.firmware.emulator.native import NativeDevice, NativePort
from semflash.link import pilots
from semflash.link.errors import PortVanishedError
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.frame import Event, Frame
from semflash.link.outcome import Lost, Received
from semflash.link.session import Expected, Session
from soak.truth import DevicePort, Truth

#: Every kind of fault there is, in both directions.
SPEC = (
    "up.flip=1e-4,down.flip=1e-5,burst=5e-6:12,drop=5e-6:5,insert=5e-6:7,lose=5e-4,duplicate=5e-4,delay=5e-4:0.01,"
    "stall=5e-5:0.005,split=0.02,join=0.02,disconnect=2e-5:0.02,reset=5e-5"
)
_IMAGES = 251
_TIMEOUT_S = 0.1
_AFTER = 200


class WatchedSession(Session):
    """A session that tells the truth's keeper of every frame that its decoder delivers."""

    truth: Truth

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Frame) and self.hello is not None:
            self.truth.delivered(event)
        super()._on_event(event)

    def _take_hello(self, frame: Frame):  # type: ignore[no-untyped-def]
        first = self.hello is None
        hello = super()._take_hello(frame)
        if first:
            self.truth.begin(hello.frames_sent)
        else:
            self.truth.delivered(frame)
            self.truth.may_reset = True
        return hello


@dataclass
class Report:
    """Sums of one run."""

    frames: int = 0
    seconds: float = 0.0
    images: int = 0
    ok: int = 0
    damaged: int = 0
    lost: int = 0
    wrong: int = 0
    link_errors: int = 0
    resets: int = 0
    frames_sent: int = 0
    frames_came: int = 0
    frames_lost: int = 0
    frames_unknowable: int = 0
    frames_duplicate: int = 0
    frames_reordered: int = 0
    dropped: int = 0
    rss_early_mib: float = 0.0
    rss_end_mib: float = 0.0
    repaired_after_end: int = 0
    dropped_after_end: int = 0


def rss_mib() -> float:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def run(library: Path, expected: Expected, frames: int, seed: int, spec: str = SPEC) -> Report:
    """Run until `frames` frames have entered the line, both directions together, and check everything.

    Raises:
        AssertionError: something is not accounted for.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(-128, 128, (_IMAGES, expected.rows, expected.row_bytes, 1)).astype(np.int8)
    golden = [row.tobytes() for row in NativeDevice(library).encode(pixels)]
    truth, report, began = Truth(), Report(), time.monotonic()
    with NativePort(library, timeout=0.0) as native:
        device = DevicePort(native, truth, native.reset)
        faulty = FaultyPort(device, FaultSpec.parse(f"{spec};seed={seed}"), reset=device.reset)
        session = WatchedSession(faulty, expected, timeout_s=_TIMEOUT_S, hello_attempts=50)
        session.truth = truth

        def total() -> int:
            return faulty.up.frames + faulty.down.frames

        def images() -> Iterator[tuple[int, NDArray[np.int8]]]:
            while total() < frames:
                report.images += 1
                yield report.images - 1, pixels[(report.images - 1) % _IMAGES]

        _take_all(session, faulty, images(), golden, truth, report, frames, total)
        report.frames = total()
        report.resets = truth.resets
        _after_the_faults(session, faulty, pixels, golden, truth, report)
        report.rss_end_mib = rss_mib()
        stats = session.link_stats()
        truth.finish()
        report.seconds = time.monotonic() - began
        counters = session.counters
        report.frames_sent, report.frames_came = truth.emitted_all, truth.came
        report.frames_lost, report.frames_unknowable = counters.frames_lost, truth.unknowable
        report.frames_duplicate, report.frames_reordered = (
            counters.frames_duplicate,
            counters.frames_reordered,
        )
        report.dropped = counters.frames_dropped
        assert report.wrong == 0, report
        assert report.images == report.ok + report.damaged + report.lost, report
        assert counters.images_lost == report.lost, report
        came = (
            counters.frames_ok + counters.frames_damaged + counters.frames_useless + 1
        )  # and the first HELLO
        assert came == truth.came, (came, truth.came)
        counted = (counters.frames_lost, counters.frames_duplicate, counters.frames_reordered)
        assert counted == (truth.lost, truth.duplicates, truth.reordered), (report, truth.lost)
        assert truth.emitted_all == came - truth.duplicates + truth.lost + truth.unknowable, report
        assert counters.restarts == truth.resets, (counters.restarts, truth.resets)
        assert stats.sent == truth.sent - 1, "the device counts other frames"
    return report


def _take_all(session, faulty, images, golden, truth, report, frames, total):  # type: ignore[no-untyped-def]
    """Every outcome; the line may break in between."""
    while True:
        try:
            for outcome in session.stream(images):
                _judge(outcome, golden, truth, report)
                if not report.rss_early_mib and total() > frames // 5:
                    gc.collect()
                    report.rss_early_mib = rss_mib()
            return
        except PortVanishedError:
            _wait_for(faulty)
        except LinkError:
            report.link_errors += 1


def _wait_for(faulty: FaultyPort) -> None:
    again = faulty.reopener(None)
    while True:
        try:
            again()
            return
        except LinkError:
            time.sleep(0.002)


def _judge(outcome: Received | Lost, golden: list[bytes], truth: Truth, report: Report) -> None:
    if isinstance(outcome, Lost):
        report.lost += 1
        return
    report.damaged += outcome.damaged
    report.ok += not outcome.damaged
    right = golden[outcome.index % _IMAGES]
    sent = truth.codes[outcome.request]
    codes = pilots.split(sent, len(sent) - len(right))[0]
    report.wrong += codes != right or (not outcome.damaged and outcome.payload != right)


def _after_the_faults(session, faulty, pixels, golden, truth, report) -> None:  # type: ignore[no-untyped-def]
    """The faults end: at most the frame that was on the line in each direction is still bad."""
    faulty.stop()
    while faulty.in_waiting or faulty.up.due is not None or faulty.down.due is not None:
        list(session.stream([]))
    before, lost = session.counters.frames_dropped, report.lost
    attempts = 0
    for outcome in session.stream(
        ((report.images + i), pixels[(report.images + i) % _IMAGES]) for i in range(_AFTER)
    ):
        _judge(outcome, golden, truth, report)
        attempts += isinstance(outcome, Received) and outcome.attempt > 1
    report.images += _AFTER
    report.repaired_after_end = attempts
    report.dropped_after_end = session.counters.frames_dropped - before
    assert report.lost == lost, "an image was lost after the faults had ended"
    assert report.dropped_after_end <= 1, report
    assert attempts <= 9, report  # what was under way: the window of eight and one


def main() -> int:
    """Build board native with a small bundle and run."""
    from semflash.bundle import read_bundle
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.building.firmware import build

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--bundle", type=Path, default=Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
    )
    parser.add_argument("--out", type=Path, default=Path("build/soak-native"))
    chosen = parser.parse_args()
    bundle = read_bundle(chosen.bundle)
    built = build(chosen.bundle, load_board("native"), out_dir=chosen.out)
    report = run(built.image_path, Expected.of(bundle), chosen.frames, chosen.seed)
    json.dump(report.__dict__, sys.stdout, indent=1)
    print()
    grown = report.rss_end_mib - report.rss_early_mib
    print(f"{report.frames:,} frames in {report.seconds:.0f} s, memory grew by {grown:.2f} MiB")
    return 0 if grown < 4 else 1


if __name__ == "__main__":
    raise SystemExit(main())
