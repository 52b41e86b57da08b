"""Frames by the hundred thousand through a bad line to the device's own C, every fault at once, all
accounted for.

    PYTHONPATH=tests python tests/soak/link_frames.py --frames 1000000 --seed 1

One frame in a hundred of the device begins a loss that leaves a splice (`losses.py`). The link core is
driven directly, in a time that leaps to the next due moment where nothing is on the line.

Checks, at the end: no image has another's codes; of damaged codes, none is nearest to another image's;
every image has one outcome; every frame that the device sent came, or is counted as lost, exactly; after
the faults end the line is in order within one frame; no memory grows.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash.errors import LinkError
from semflash.firmware.emulator.native import NativeDevice, NativePort
from semflash.link.codes import pilots
from semflash.link.core import (
    Connected,
    Failed,
    Finished,
    LinkCore,
    Lost,
    NoStatistics,
    Outcome,
    Received,
    Statistics,
)
from semflash.link.errors import PortVanishedError
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.frame import Frame, FrameType
from semflash.link.handshake import Expected
from semflash.link.messages import LinkStats, parse_hello
from soak.losses import KINDS, SPLICES, LossyPort
from soak.truth import DevicePort, Truth

#: Every kind of fault there is, in both directions.
SPEC = (
    "up.flip=1e-4,down.flip=1e-5,burst=5e-6:12,drop=5e-6:5,insert=5e-6:7,lose=5e-4,duplicate=5e-4,delay=5e-4:0.01,"
    "stall=5e-5:0.005,split=0.02,join=0.02,disconnect=2e-5:0.02,reset=5e-5"
)
_IMAGES = 251
_TIMEOUT_S = 1.0
_TURN_S = 2e-5
_AFTER = 200


class Clock:
    """Time of host and line: some passes with each turn, the rest in waits, which cost nothing."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.now_s += seconds


class Driver:
    """A link core at a bad line, and the shell of this soak; `truth` is told what the core believes."""

    def __init__(self, faulty: FaultyPort, expected: Expected, clock: Clock, truth: Truth, seed: int) -> None:
        self._faulty, self._clock, self._truth = faulty, clock, truth
        numbers = random.Random(seed)
        self.core = LinkCore(
            expected,
            session=numbers.randrange(1, 1 << 32),
            first_request=numbers.randrange(1, 1 << 32),
            timeout_s=_TIMEOUT_S,
            tap=self._believed,
        )

    def _believed(self, frame: Frame) -> None:
        if self.core.hello is not None:
            self._truth.delivered(frame)
        elif frame.type == FrameType.HELLO:
            self._truth.begin(parse_hello(frame.payload).frames_sent)

    def run(self, images: Iterator[tuple[int, bytes]]) -> Iterator[Outcome]:
        """Outcomes of the images, until all have one.

        Raises:
            LinkError: as the core's Failed says; PortVanishedError: a fault pulled the port.
        """
        self.core.start(self._clock())
        while True:
            while self.core.wants_images:
                image = next(images, None)
                if image is None:
                    self.core.finish()
                else:
                    self.core.offer(*image, self._clock())
            while (event := self.core.next_event()) is not None:
                if isinstance(event, Finished):
                    return
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Connected):
                    self._truth.may_reset = True  # the host knows of the last reset now
                elif isinstance(event, Received | Lost):
                    yield event
            self.turn()

    def stats(self) -> LinkStats:
        """The device's own counts."""
        self.core.ask_link_stats(self._clock())
        while True:
            self.turn()
            while (event := self.core.next_event()) is not None:
                if isinstance(event, NoStatistics):
                    raise event.error
                if isinstance(event, Statistics):
                    return event.stats

    def rest(self) -> None:
        """Take what is still on the line."""
        while self._faulty.in_waiting or self._line_due_s() is not None:
            self.turn()

    def turn(self) -> None:
        """Write, and read what has come, or go on to the moment at which something is due."""
        self._clock.now_s += _TURN_S
        try:
            while data := self.core.data_to_send():
                self._faulty.write(data)
            waiting = self._faulty.in_waiting
            if waiting:
                self.core.receive_data(self._faulty.read(waiting), self._clock())
                return
        except PortVanishedError:
            self.core.disconnected()
            raise
        due = [time for time in (self.core.timeout_at(), self._line_due_s()) if time is not None]
        assert due, "nothing is waited for, and there is no end"
        self._clock.now_s = max(self._clock.now_s, min(due))
        if not self._faulty.in_waiting:
            self.core.handle_timeout(self._clock())

    def _line_due_s(self) -> float | None:
        due = [line.due for line in (self._faulty.up, self._faulty.down)]
        return min((time for time in due if time is not None), default=None)


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
    nearest_wrong: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    spliced: int = 0
    misplaced: int = 0
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


class Golden:
    """The codes of every image, uint8 (images, bytes)."""

    def __init__(self, codes: NDArray[np.uint8]) -> None:
        self._codes = codes
        assert len(np.unique(codes, axis=0)) == len(codes), "two images have the same codes"

    def of(self, index: int) -> bytes:
        """Codes of an image."""
        return self._codes[index % len(self._codes)].tobytes()

    def nearest_is(self, index: int, payload: bytes) -> bool:
        """Whether no other image's codes are nearer to `payload` than those of the image."""
        distances = np.bitwise_count(self._codes ^ np.frombuffer(payload, np.uint8)).sum(axis=1)
        return bool(distances[index % len(self._codes)] == distances.min())


def pictures(expected: Expected, seed: int) -> NDArray[np.int8]:
    """Random images with different codes: blocks of 7x7 pixels, each with a level and noise of its own."""
    rng = np.random.default_rng(seed)
    shape = (_IMAGES, -(-expected.rows // 7), -(-expected.row_bytes // 7), 1)
    level, spread = rng.integers(-90, 90, shape), rng.integers(0, 38, shape)
    noise = rng.uniform(-1, 1, (_IMAGES, expected.rows, expected.row_bytes, 1))
    both = (part.repeat(7, axis=1).repeat(7, axis=2) for part in (level, spread))
    base, scale = (part[:, : expected.rows, : expected.row_bytes] for part in both)
    return (base + scale * noise).astype(np.int8)


@dataclass(frozen=True)
class Harm:
    """What happens on the line: faults by SPEC, and losses per frame of the device, by kind."""

    spec: str = SPEC
    loss_rate: float = 0.03
    kinds: tuple[str, ...] = KINDS


def run(library: Path, expected: Expected, frames: int, seed: int, harm: Harm | None = None) -> Report:
    """Run until `frames` frames have entered the line, both directions together, and check everything.

    Raises:
        AssertionError: something is not accounted for.
    """
    harm = harm or Harm()
    pixels = pictures(expected, seed)
    golden = Golden(NativeDevice(library).encode(pixels))
    truth, report, began, clock = Truth(), Report(), time.monotonic(), Clock()
    with NativePort(library, timeout=0.0) as native:
        device = DevicePort(native, truth, native.reset)
        lossy = LossyPort(device, harm.loss_rate, seed, harm.kinds)

        def reset() -> None:
            lossy.forget()
            device.reset()

        faulty = FaultyPort(
            lossy, FaultSpec.parse(f"{harm.spec};seed={seed}"), reset=reset, clock=clock, sleep=clock.sleep
        )
        driver = Driver(faulty, expected, clock, truth, seed)

        def total() -> int:
            return faulty.up.frames + faulty.down.frames

        rows = [image.tobytes() for image in pixels]

        def images() -> Iterator[tuple[int, bytes]]:
            while total() < frames:
                report.images += 1
                yield report.images - 1, rows[(report.images - 1) % _IMAGES]

        _take_all(driver, faulty, clock, images(), golden, truth, report, lambda: total() > frames // 5)
        report.frames = total()
        report.resets = truth.resets
        lossy.stop()
        report.losses, report.spliced = dict(lossy.happened), len(lossy.spliced)
        _after_the_faults(driver, faulty, rows, golden, truth, report)
        report.rss_end_mib = rss_mib()
        stats = driver.stats()
        truth.finish()
        report.seconds = time.monotonic() - began
        counters = driver.core.counters
        report.frames_sent, report.frames_came = truth.emitted_all, truth.came
        report.frames_lost, report.frames_unknowable = counters.frames_lost, truth.unknowable
        report.frames_duplicate, report.frames_reordered = (
            counters.frames_duplicate,
            counters.frames_reordered,
        )
        report.dropped, report.misplaced = counters.frames_dropped, counters.frames_misplaced
        assert report.wrong == 0 == report.nearest_wrong, report
        assert report.images == report.ok + report.damaged + report.lost, report
        assert counters.images_lost == report.lost, report
        came = counters.frames_ok + counters.frames_damaged + 1  # and the first HELLO
        assert came == truth.came, (came, truth.came)
        counted = (counters.frames_lost, counters.frames_duplicate, counters.frames_reordered)
        assert counted == (truth.lost, truth.duplicates, truth.reordered), (report, truth.lost)
        assert truth.emitted_all == came - truth.duplicates + truth.lost + truth.unknowable, report
        assert counters.restarts == truth.resets, (counters.restarts, truth.resets)
        assert stats.sent == truth.sent - 1, "the device counts other frames"
    return report


def _take_all(
    driver: Driver,
    faulty: FaultyPort,
    clock: Clock,
    images: Iterator[tuple[int, bytes]],
    golden: Golden,
    truth: Truth,
    report: Report,
    is_early_over: Callable[[], bool],
) -> None:
    """Every outcome; the line may break in between."""
    while True:
        try:
            for outcome in driver.run(images):
                _judge(outcome, golden, truth, report)
                if not report.rss_early_mib and is_early_over():
                    gc.collect()
                    report.rss_early_mib = rss_mib()
            return
        except PortVanishedError:
            _wait_for(faulty, clock)
        except LinkError:
            report.link_errors += 1


def _wait_for(faulty: FaultyPort, clock: Clock) -> None:
    again = faulty.reopener(None)
    while True:
        try:
            again()
            return
        except LinkError:
            clock.sleep(0.002)


def _judge(outcome: Received | Lost, golden: Golden, truth: Truth, report: Report) -> None:
    if isinstance(outcome, Lost):
        report.lost += 1
        return
    report.damaged += outcome.damaged
    report.ok += not outcome.damaged
    right = golden.of(outcome.index)
    report.nearest_wrong += not golden.nearest_is(outcome.index, outcome.payload)
    sent = truth.codes[outcome.request]
    codes = pilots.split(sent, len(sent) - len(right))[0]
    report.wrong += codes != right or (not outcome.damaged and outcome.payload != right)


def _after_the_faults(
    driver: Driver, faulty: FaultyPort, rows: list[bytes], golden: Golden, truth: Truth, report: Report
) -> None:
    """The faults end: at most the frame that was on the line in each direction is still bad."""
    faulty.stop()
    driver.rest()
    before, lost = driver.core.counters.frames_dropped, report.lost
    attempts = 0
    for outcome in driver.run(
        ((report.images + i), rows[(report.images + i) % _IMAGES]) for i in range(_AFTER)
    ):
        _judge(outcome, golden, truth, report)
        attempts += isinstance(outcome, Received) and outcome.attempt > 1
    report.images += _AFTER
    report.repaired_after_end = attempts
    report.dropped_after_end = driver.core.counters.frames_dropped - before
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
    parser.add_argument(
        "--splices", action="store_true", help="every third CODES frame is spliced with a later one"
    )
    parser.add_argument("--spec", default=SPEC, help="the other faults")
    parser.add_argument("--out", type=Path, default=Path("build/soak-native"))
    chosen = parser.parse_args()
    bundle = read_bundle(chosen.bundle)
    built = build(chosen.bundle, load_board("native"), out_dir=chosen.out)
    harm = Harm(chosen.spec, 0.3, SPLICES) if chosen.splices else Harm(chosen.spec)
    report = run(built.image_path, Expected.of(bundle), chosen.frames, chosen.seed, harm)
    json.dump(report.__dict__, sys.stdout, indent=1)
    print()
    grown = report.rss_end_mib - report.rss_early_mib
    print(f"{report.frames:,} frames in {report.seconds:.0f} s, memory grew by {grown:.2f} MiB")
    return 0 if grown < 4 else 1


if __name__ == "__main__":
    raise SystemExit(main())
