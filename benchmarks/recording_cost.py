"""What recordings cost: processor time of a run on board native, without and with them, and of one record.

    python benchmarks/recording_cost.py

Native is the quickest board there is (no serial line), so that the share is the most that a recording can
cost. Records are given to the system one by one: that is what makes them survive a kill.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import read_bundle
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.emulator.native import NativePort
from semflash.link.port import READ_TIMEOUT_S
from semflash.link.raw_record import FROM_DEVICE, RawRecorder
from semflash.monitor.monitor import MonitorOptions, monitor

BUNDLE = "fashion-mnist-48"


@dataclass(frozen=True)
class Images:
    """Noise: what an image shows does not change what its bytes cost."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


def seconds_per_record(folder: Path, count: int = 20_000, size: int = 100) -> float:
    """Mean time of one raw record."""
    with RawRecorder(folder / "cost.sfraw", {}) as recorder:
        began = time.perf_counter()
        for _ in range(count):
            recorder.add(FROM_DEVICE, bytes(size))
        return (time.perf_counter() - began) / count


def processor_seconds(image: Path, split: Images, options: MonitorOptions) -> float:
    """Processor time of one run, per image."""
    count = options.count
    with NativePort(image, timeout=READ_TIMEOUT_S) as port:
        began = time.process_time()
        result = monitor(read_bundle(BUNDLE), port, split, options)
        spent = time.process_time() - began
    assert result.error is None and result.progress.tally.received == count
    return spent / count


def main() -> int:
    """Print one line for each way to record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    bundle, rng = read_bundle(BUNDLE), np.random.default_rng(0)
    images = rng.integers(0, 256, (chosen.count, *bundle.image_shape), np.uint8)
    split = Images(images, np.zeros(chosen.count, np.int32))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = build(BUNDLE, load_board("native"), out_dir=folder / "build")
        ways = {
            "no recording": MonitorOptions(count=chosen.count),
            "--record": MonitorOptions(count=chosen.count, record_path=folder / "run.jsonl"),
            "--record-raw": MonitorOptions(count=chosen.count, raw_path=folder / "run.sfraw"),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way, options in ways.items():
                times[way].append(processor_seconds(built.image_path, split, options))
        print(f"a raw record of 100 bytes takes {1e6 * seconds_per_record(folder):.1f} us")
    plain = statistics.median(times["no recording"])
    for way, spent in times.items():
        median = statistics.median(spent)
        print(f"{way:14} {1e6 * median:7.0f} us of processor time an image, {median / plain - 1:+.1%}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
