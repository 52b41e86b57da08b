"""Time from the last row to the last code, with codes that leave early and without: a table for docs/link.md.

    python benchmarks/link_latency.py [--bundle NAME ...] [--write]

On the emulated board by a clock in the firmware (device/bench/latency.c): instructions from the call with the
last row to the end of the last frame of codes, and microseconds where each takes a cycle at 168 MHz. QEMU's
serial port takes bytes at once; what a line would add is told by the bytes that are still to go out after the
last row, ten bit times each. On board native by this computer's clock, from the write of the last rows to the
last code, the least of some images. Rows go out as many in a frame as the firmware takes, and one by one,
each after the CREDIT of the one before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from doc_block import LINK_PAGE, table, write_block
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle, read_bundle
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build_bundle
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.emulator import emulator
from semflash.firmware.emulator.native import NativePort
from semflash.link import messages
from semflash.link.controls import control_payloads
from semflash.link.frame import Frame, FrameDecoder, FrameType, encode_frame
from semflash.link.messages import Hello
from semflash.link.port import Port, open_port
from semflash.link.wire import CONTROL_STREAM, PREFIX_LAST

IMAGES = 12
CLOCK_HZ, BAUD, BITS_PER_BYTE = 168e6, 921_600, 10
LEAST = (0, 1, 16)  # values of `stream`
HEAD = [
    "bundle, board",
    "rows in a frame",
    "`stream`",
    "frames of codes",
    "from last row to last code, instructions",
    "us",
    "bytes of codes' frames after the last row",
    "us of these at 921,600 baud",
]
_CODES = (FrameType.CODES, FrameType.CODES_PART)


@dataclass
class Image:
    """What came of one image: frames of codes, bytes of those after the last row went out, ticks, seconds."""

    frames: int = 0
    late_bytes: int = 0
    ticks_before: int = 0
    seconds: float = 0.0


class Line:
    """A device that is asked frame by frame."""

    def __init__(self, port: Port, bundle: Bundle) -> None:
        self._port, self._bundle, self._decoder = port, bundle.hash32, FrameDecoder()
        self._number = 0
        self.hello: Hello = self._ask(FrameType.HELLO_REQUEST, b"", FrameType.HELLO)

    def _send(self, kind: FrameType, payload: bytes, request: int) -> None:
        self._port.write(encode_frame(Frame(kind, payload, self._number & 0xFFFF, self._bundle, request)))
        self._number += 1

    def _until(self, wanted: FrameType, see: Callable[[Frame], None] = lambda frame: None) -> Frame:
        """Read up to a frame of this type; `see` is shown all."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            answer = None
            for event in self._decoder.feed(self._port.read(max(1, self._port.in_waiting))):
                assert isinstance(event, Frame) and not event.damaged, event
                see(event)
                answer = event if event.type == wanted else answer
            if answer is not None:
                return answer
        raise SystemExit(f"no {wanted.name} came")

    def _ask(self, kind: FrameType, payload: bytes, answer: FrameType) -> Hello:
        self._send(kind, payload, 1)
        return messages.parse_hello(self._until(answer).payload)

    def stream(self, least: int) -> None:
        """Set the control."""
        (payload,) = control_payloads({CONTROL_STREAM: least}, 64)
        self._send(FrameType.CONTROL, payload, 0)
        self._until(FrameType.CREDIT)

    def image(self, pixels: NDArray[np.int8], request: int, at_once: int) -> Image:
        """Send an image, `at_once` rows in a frame."""
        found = Image()

        def see(frame: Frame) -> None:
            if frame.type in _CODES:
                found.frames += 1
                late = frame.type == FrameType.CODES or frame.payload[0] & PREFIX_LAST
                found.late_bytes += len(encode_frame(frame)) if late else 0
                found.seconds = time.perf_counter() - began_s

        rows = pixels.reshape(self.hello.rows, -1)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            began_s = time.perf_counter()
            payload = messages.rows_payload(first, part.tobytes(), self.hello.row_bytes)
            self._send(FrameType.ROWS, payload, request)
            if first + len(part) < len(rows):
                self._until(FrameType.CREDIT, see)
        stats = messages.parse_image_stats(self._until(FrameType.IMAGE_STATS, see).payload)
        assert stats is not None
        found.ticks_before = stats[1]
        return found


def measure(port: Port, bundle: Bundle, pixels: NDArray[np.int8]) -> dict[tuple[int, int], list[Image]]:
    """Images by rows in a frame and `stream`; ticks_before are those of the image itself."""
    line, found, request = Line(port, bundle), {}, 10
    for at_once in (line.hello.rows_per_frame, 1):
        for least in LEAST:
            line.stream(least)
            images = []
            for picture in pixels:
                images.append(line.image(picture, request, at_once))
                request += 1
            for image, after in pairwise(images):
                image.ticks_before = line.hello.count(after.ticks_before)
            found[at_once, least] = images[1:-1]
    return found


def emulated(bundle: Bundle, pixels: NDArray[np.int8], folder: Path) -> dict[tuple[int, int], list[Image]]:
    """On the emulated board."""
    options = BuildOptions(out_dir=folder / f"{bundle.name}-emulated", bench="latency")
    built = build_bundle(bundle, load_board("qemu-stm32f405"), options)
    instance = f"latency-{os.getpid()}"
    try:
        with open_port(emulator.start_build(built, instance=instance).port) as port:
            return measure(port, bundle, pixels)
    finally:
        emulator.discard(instance)


def native(bundle: Bundle, pixels: NDArray[np.int8], folder: Path) -> dict[tuple[int, int], list[Image]]:
    """In this process."""
    options = BuildOptions(out_dir=folder / f"{bundle.name}-native")
    with NativePort(build_bundle(bundle, load_board("native"), options).image_path, timeout=0.05) as port:
        return measure(port, bundle, pixels)


def table_rows(name: str, found: dict[tuple[int, int], list[Image]], *, counted: bool) -> list[list[str]]:
    """Rows of the table. counted: by the firmware's clock, not by this computer's."""
    rows = []
    for (at_once, least), images in found.items():
        count = statistics.median(image.ticks_before for image in images)
        seconds = count / CLOCK_HZ if counted else min(image.seconds for image in images)
        late = statistics.median(image.late_bytes for image in images)
        numbers = [seconds * 1e6, late, late * BITS_PER_BYTE / BAUD * 1e6]
        shown = f"{count:,.0f}" if counted else ""
        start = [name, f"{at_once}", f"{least}" if least else "off", f"{images[0].frames}", shown]
        rows.append(start + [f"{number:,.0f}" for number in numbers])
    return rows


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", nargs="+", default=["fashion-mnist-48", "fashion-mnist-96"])
    parser.add_argument("--write", action="store_true", help="write the table into docs/link.md")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for bundle in map(read_bundle, chosen.bundle):
            pictures = np.random.default_rng(1).integers(0, 256, (IMAGES, *bundle.image_shape), np.uint8)
            pixels = to_int8(pictures, bundle.image_shape)
            found = emulated(bundle, pixels, Path(name))
            rows += table_rows(f"{bundle.name}, emulated", found, counted=True)
            found = native(bundle, pixels, Path(name))
            rows += table_rows(f"{bundle.name}, native", found, counted=False)
    block = table(HEAD, rows)
    print(block)
    if chosen.write:
        write_block(LINK_PAGE, "latency", "link_latency.py", block)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
