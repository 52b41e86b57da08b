"""The STM32F4 port in QEMU: the real interrupt handler, queue, counter and start-up code, built by hand."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial
from cobs import cobs

from c import tiny_reference as tiny
from fakes.link_device import read_entries, without_pilots
from semflash.processes import children
from vectors.make_frames import TYPES, raw_frame, wire

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "device/port/stm32f4"
COMMON = ROOT / "device/port/common"
MACHINE = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
NAMES = {value: name for name, value in TYPES.items()}
PILOTS = 4
INSTRUCTIONS, CLOCK_HZ, SCALE = 1, 168_000_000, 390_095

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS),
        reason="apt-get install gcc-arm-none-eabi qemu-system-arm",
    ),
]


def build(folder: Path, *options: str, extra: Sequence[Path] = ()) -> Path:
    """Firmware with the handwritten model and extra sources."""
    image = folder / "firmware.elf"
    sources = [
        *ROOT.glob("device/src/*.c"),
        *ROOT.glob("device/stages/*.c"),
        *PORT.glob("*.c"),
        *COMMON.glob("*.c"),
        ROOT / "device/app/main.c",
    ]
    command = ["arm-none-eabi-gcc", *MACHINE, "-std=c11", "-O2", "-ffunction-sections", "-fdata-sections"]
    command += [f"-I{ROOT / 'device/include'}", f"-I{COMMON}", f"-I{ROOT / 'tests/c/tiny_model'}"]
    command += ['-DSF_BOARD_NAME="emulated"', "-DSF_BUILD_ID=0x1234u", *options]
    command += [*map(str, sources), *map(str, extra), str(ROOT / "tests/c/tiny_model/sf_model.c")]
    command += ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections"]
    command += ["-Wl,--fatal-warnings", "-T", str(PORT / "stm32f4.ld"), "-o", str(image)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    return image


class Line:
    """A serial line to the emulated device that takes frames apart."""

    def __init__(self, port: serial.Serial) -> None:
        self.port = port
        self._received = b""
        self._frames: list[tuple[str, int, bytes]] = []

    def next(self, timeout_s: float = 20.0) -> tuple[str, int, bytes]:
        """Type, request and payload of the next frame."""
        deadline = time.monotonic() + timeout_s
        while not self._frames:
            if time.monotonic() > deadline:
                raise TimeoutError("the device is silent")
            self._received += self.port.read(max(1, self.port.in_waiting))
            *whole, self._received = self._received.split(b"\0")
            for piece in filter(None, whole):
                raw = cobs.decode(piece)
                payload = without_pilots(raw[16:-4], PILOTS) if raw[1] == TYPES["CODES"] else raw[16:-4]
                self._frames.append((NAMES[raw[1]], int.from_bytes(raw[8:12], "little"), payload))
        return self._frames.pop(0)

    def until(self, name: str, timeout_s: float = 20.0) -> bytes:
        """Payload of the next frame of this type; others are dropped."""
        while (frame := self.next(timeout_s))[0] != name:
            pass
        return frame[2]

    def hello(self) -> bytes:
        """HELLO, asked for until it comes: bytes that arrive before the UART is on are lost."""
        for _ in range(20):
            self.port.write(b"\0" + wire(raw_frame(TYPES["HELLO_REQUEST"], bundle=0, request=0)))
            try:
                return self.until("HELLO", 1.0)
            except TimeoutError:
                continue
        raise TimeoutError("HELLO is not answered")


@contextmanager
def emulate(image: Path, *before: str) -> Iterator[Line]:
    """The firmware in QEMU; `before` are options that claim earlier serial ports."""
    command = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-monitor", "none"]
    command += ["-icount", "shift=0", "-kernel", str(image), *before, "-serial", "pty"]
    emulator = children.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert emulator.stdout is not None
        name = re.search(r"/dev/pts/\d+", emulator.stdout.readline())
        assert name is not None
        with serial.Serial(name.group(), 115200, timeout=0.05) as port:
            yield Line(port)
    finally:
        children.end(emulator)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with emulate(build(tmp_path_factory.mktemp("firmware"))) as open_line:
        yield open_line


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (28, 28)).astype(np.int8)


def frames_of(picture: np.ndarray, request: int, rows_payload: int) -> list[bytes]:
    step = (rows_payload - 4) // 28
    starts = [(first, min(step, 28 - first)) for first in range(0, 28, step)]
    return [
        wire(
            raw_frame(
                TYPES["ROWS"],
                struct.pack("<HH", first, n) + picture[first : first + n].tobytes(),
                bundle=tiny.BUNDLE,
                request=request,
            )
        )
        for first, n in starts
    ]


def stream(line: Line, images: list[np.ndarray]) -> tuple[dict[int, bytes], list[int]]:
    """Codes by request and ticks per image, with the window always full."""
    hello = read_entries(line.hello())
    window, rows_payload = struct.unpack("<HH", hello[3] + hello[4])
    waiting = [frame for i, picture in enumerate(images) for frame in frames_of(picture, i + 1, rows_payload)]
    sent, credit, codes, ticks = 0, 0, {}, []
    while len(ticks) < len(images):
        while sent < len(waiting) and sent - credit < window:
            line.port.write(waiting[sent])
            sent += 1
        name, request, payload = line.next()
        assert name in ("HELLO", "CREDIT", "CODES", "IMAGE_STATS")
        if name == "HELLO":
            continue  # the answer to an earlier request; it came before our rows
        if name == "CREDIT":
            credit = struct.unpack("<IH", payload)[0]
        elif name == "CODES":
            codes[request] = payload
        else:
            ticks.append(struct.unpack_from("<I", payload)[0])
    return codes, ticks


def stats(line: Line) -> list[int]:
    line.port.write(wire(raw_frame(TYPES["STATS_REQUEST"], request=0)))
    return list(struct.unpack("<12I", line.until("LINK_STATS")))


def test_hello_is_honest_about_the_emulator(line):
    hello = line.hello()
    found = read_entries(hello)
    assert found[1] == b"\3" and found[2] == struct.pack("<BI", INSTRUCTIONS, SCALE)
    assert struct.unpack("<HHI", found[5] + found[6]) == (28, 28, 144)
    assert struct.unpack("<III", found[7] + found[8] + found[9]) == (tiny.BUNDLE, 0x1234, CLOCK_HZ)
    assert found[11] == b"emulated" and struct.unpack("<H", found[3])[0] >= 2
    assert 21 not in found, "the emulator has no unique id"


def test_a_full_window_loses_nothing_while_the_encoder_runs(line):
    images = [image(i) for i in range(40)]
    before = stats(line)
    codes, ticks = stream(line, images)
    assert codes == {i + 1: tiny.payload(picture) for i, picture in enumerate(images)}
    assert stats(line)[1:8] == before[1:8], "frames were lost or bytes overrun"
    assert max(ticks) < 1.02 * min(ticks), "the receive interrupt is counted as the encoder's"


def test_the_stack_high_water_mark_is_plausible_and_does_not_fall(line):
    line.hello()
    marks = []
    for picture in (image(0), image(1)):
        for frame in frames_of(picture, 1, 4 + 14 * 28):
            line.port.write(frame)
        marks.append(struct.unpack("<III", line.until("IMAGE_STATS"))[1])
    assert 200 < marks[0] <= marks[1] < 4096


def test_the_second_serial_port_works_with_the_settings_of_a_nucleo(tmp_path):
    options = ["-DSF_PORT_USART=2", "-DSF_PORT_CLOCK_HZ=180000000", "-DSF_PORT_BAUD=921600"]
    firmware = build(tmp_path, *options, "-Wl,--defsym=sf_flash_length=0x80000")
    with emulate(firmware, "-serial", "null") as second:
        codes, _ = stream(second, [image(3)])
    assert codes == {1: tiny.payload(image(3))}


def test_random_bytes_do_no_harm(line):
    noise = np.random.default_rng(3).integers(0, 256, 60_000).astype(np.uint8).tobytes()
    for start in range(0, len(noise), 1024):
        line.port.write(noise[start : start + 1024])
    codes, _ = stream(line, [image(7)])
    assert codes == {1: tiny.payload(image(7))}


def test_more_than_the_window_in_flight_is_counted_as_overrun_or_survived(line):
    """A sender that ignores the window: nothing wrong comes out, and what is lost is counted."""
    (rows_payload,) = struct.unpack("<H", read_entries(line.hello())[4])
    pictures = [image(i) for i in range(30)]
    line.port.write(b"".join(f for i, p in enumerate(pictures) for f in frames_of(p, i + 1, rows_payload)))
    line.port.write(b"\0" * 4)
    frame = line.next()
    while frame[0] != "IMAGE_STATS" or frame[1] != 30:
        if frame[0] == "CODES":
            assert frame[2] == tiny.payload(pictures[frame[1] - 1])
        try:
            frame = line.next(2.0)
        except TimeoutError:
            break
    codes, _ = stream(line, [image(9)])
    assert codes == {1: tiny.payload(image(9))}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-Wl,--defsym=sf_ram_length=0x1000"], "RAM"),
        (["-Wl,--defsym=sf_flash_length=0x1000"], "FLASH"),
        (["-Wl,--defsym=sf_stack_bytes=0x20000"], "less is left for the stack"),
    ],
)
def test_a_board_with_too_little_memory_does_not_link(tmp_path, options, complaint):
    with pytest.raises(RuntimeError, match=complaint):
        build(tmp_path, *options)
