"""examples/bare_f4 as its user builds it: PlatformIO, device/ as a library, then in QEMU."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from c import tiny_reference as tiny
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building import platformio
from semflash.firmware.emulator import emulator
from semflash.link.frame import Frame, FrameType
from semflash.link.line import Line
from semflash.link.messages import parse_hello
from semflash.link.port import open_port

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="qemu-system-arm or arm-none-eabi-gcc is not installed",
    ),
]


def picture(number: int) -> np.ndarray:
    """What the example's source computes for picture `number`."""
    y, x = np.mgrid[0:28, 0:28]
    return ((y * 5 + x * 3 + number) % 256 - 128).astype(np.int8)


def test_bare_f4_builds_with_platformio_and_sends_codes_of_its_own_pictures(
    own_emulators: Path, tmp_path: Path
) -> None:
    example = tmp_path / "examples" / "bare_f4"
    shutil.copytree(ROOT / "examples/bare_f4", example)
    for name in ("device", "boards"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "tests/c/tiny_model", example / "model")
    platformio.run(example, "qemu", log=tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert "warning:" not in log
    assert "|-- semflash-device @ " in log, "the runtime came from device/ as a library"
    state = emulator.start(load_board("qemu-stm32f405"), example / ".pio/build/qemu/program.elf")
    with open_port(state.port) as port:
        line, codes, board = Line(port), {}, ""
        deadline = time.monotonic() + 20
        asked = 0.0
        while len(codes) < 3 and time.monotonic() < deadline:
            if time.monotonic() - asked > 0.5:
                line.ask_hello()
                asked = time.monotonic()
            event = line.next_event()
            if isinstance(event, Frame) and event.type == FrameType.HELLO:
                hello = parse_hello(event.payload)
                board = hello.board
                assert hello.pilot_bytes == 0
            if isinstance(event, Frame) and event.type == FrameType.CODES:
                codes[event.request] = event.payload
    assert board == "bare_f4"
    assert codes == {number: tiny.payload(picture(number)) for number in codes} and len(codes) >= 3
