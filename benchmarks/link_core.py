"""How many frames per second the link core takes, alone and with what is around it: writes a table into
docs/link.md.

    python benchmarks/link_core.py [--frames 1000000] [--write]

The device's C (board native with a model that costs little) answers a core, and what it sent is kept. The
core is deterministic, so a new one with the same numbers takes the same bytes again without a device: that is
the core alone. Frames of both directions are counted; processor time of this thread, device and all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from doc_block import LINK_PAGE, table, write_block
from link_throughput import CASES, build

from semflash.firmware.emulator.native import NativePort
from semflash.link.core import Finished, LinkCore, Received
from semflash.link.frame import Frame, FrameDecoder
from semflash.link.handshake import Expected
from semflash.link.session import Session

CASE = "48 bytes of codes, 28 x 28 pixels down, the image in one frame"
IMAGES = 251
#: Frames in one recording: more would only take memory.
RECORDED = 100_000
HEAD = ["what", "frames", "seconds", "frames/s", "us a frame"]


@dataclass
class Run:
    """One run of a core. answers: bytes of the device, one piece for each turn; frames: both directions."""

    answers: list[bytes] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0


def drive(expected: Expected, rows: list[bytes], count: int, answer: Callable[[bytes], bytes]) -> Run:
    """`count` images through a core; `answer` is what the device says to some bytes."""
    run, taken, received = Run(), 0, 0
    core = LinkCore(expected, session=7, first_request=9)
    began_s = time.thread_time()
    core.start(0.0)
    while True:
        while core.wants_images:
            if taken == count:
                core.finish()
            else:
                core.offer(taken, rows[taken % IMAGES], 0.0)
                taken += 1
        answers = answer(b"".join(iter(core.data_to_send, b"")))
        run.answers.append(answers)
        core.receive_data(answers, 0.0)
        while (event := core.next_event()) is not None:
            if isinstance(event, Finished):
                run.seconds = time.thread_time() - began_s
                assert received == count == core.counters.frames_ok // 3, core.counters
                run.frames = core.counters.frames_ok + core.counters.frames_sent
                return run
            received += isinstance(event, Received)


def several(frames: int, once: Callable[[], Run]) -> list[str]:
    """Runs until so many frames were taken, as cells of the table."""
    total, seconds = 0, 0.0
    while total < frames:
        run = once()
        total, seconds = total + run.frames, seconds + run.seconds
    return [f"{total:,}", f"{seconds:.1f}", f"{total / seconds:,.0f}", f"{1e6 * seconds / total:.1f}"]


def blocking(port: NativePort, expected: Expected, pixels: np.ndarray, count: int) -> Run:
    """The same through the blocking session."""
    session, run = Session(port, expected), Run()
    began_s = time.thread_time()
    images = ((index, pixels[index % IMAGES]) for index in range(count))
    assert sum(isinstance(outcome, Received) for outcome in session.stream(images)) == count
    run.seconds = time.thread_time() - began_s
    run.frames = session.counters.frames_ok + session.counters.frames_sent
    return run


def decoding(answers: list[bytes]) -> Run:
    """The decoder of frames alone."""
    decoder, run = FrameDecoder(), Run()
    began_s = time.thread_time()
    for data in answers:
        events = decoder.feed(data)
        run.frames += len(events)
        assert all(isinstance(event, Frame) and not event.damaged for event in events)
    run.seconds = time.thread_time() - began_s
    return run


def measure(library: Path, frames: int) -> list[list[str]]:
    """The rows of the table."""
    shape, row_bytes, codes = CASES[CASE][:3]
    pixels = np.random.default_rng(1).integers(-128, 128, (IMAGES, shape, row_bytes)).astype(np.int8)
    rows, count = [image.tobytes() for image in pixels], min(frames, RECORDED) // 4
    with NativePort(library, timeout=0.0) as port:
        expected = Expected("link", port.info.bundle_hash, shape, row_bytes, shape * codes)

        def device(data: bytes) -> bytes:
            port.write(data)
            return port.read(1 << 20)

        kept = drive(expected, rows, count, device).answers

        def alone() -> Run:
            answers = iter(kept)
            return drive(expected, rows, count, lambda _: next(answers))

        return [
            ["decoder of frames alone", *several(frames, lambda: decoding(kept))],
            ["core alone, the device's bytes from memory", *several(frames, alone)],
            [
                "core and the device's C, by cffi",
                *several(frames // 4, lambda: drive(expected, rows, count, device)),
            ],
            [
                "blocking session and the device's C",
                *several(frames // 4, lambda: blocking(port, expected, pixels, count)),
            ],
        ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/link.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        block = table(HEAD, measure(build(CASE, Path(folder)), chosen.frames))
    print(block)
    if chosen.write:
        write_block(LINK_PAGE, "core", "link_core.py", block)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
