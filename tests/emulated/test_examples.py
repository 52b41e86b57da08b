"""examples/bare_f4 as its user builds it: PlatformIO, device/ as a library, then in QEMU."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c import tiny_reference as tiny
from semflash.cli.main import main
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


def started(tmp_path: Path, model: Path) -> str:
    """The example with a model, built and running; its port."""
    example = tmp_path / "examples" / "bare_f4"
    shutil.copytree(ROOT / "examples/bare_f4", example)
    for name in ("device", "boards"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(model, example / "model")
    platformio.run(example, "qemu", log=tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert "warning:" not in log
    assert "|-- semflash-device @ " in log, "the runtime came from device/ as a library"
    image = example / ".pio/build/qemu/program.elf"
    return emulator.start(load_board("qemu-stm32f405"), image).port


def test_bare_f4_builds_with_platformio_and_sends_codes_of_its_own_pictures(
    own_emulators: Path, tmp_path: Path
) -> None:
    where = started(tmp_path, ROOT / "tests/c/tiny_model")
    with open_port(where) as port:
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


def test_collect_stores_what_the_examples_source_sees_and_new_takes_it(
    own_emulators: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/own-images.md: the model of a build in firmware of one's own, then pictures of its sensor."""
    bundle, photos = ROOT / "tests/vectors/tiny.semcodec", tmp_path / "photos"
    assert main(["build", str(bundle), "--out", str(tmp_path / "build")]) == 0
    where = started(tmp_path, tmp_path / "build" / "model")
    flags = ["collect", str(bundle), "--port", where, "--images", str(photos), "--every", "0"]
    for label, number in (("cat", 2), ("dog", 3), ("cat", 4)):
        assert main([*flags, "--label", label, "--count", str(number)]) == 0
    out = capsys.readouterr().out
    assert f"dog: 3 stored, 3 in {photos / 'dog'}" in out and f"cat: 2 stored, 4 in {photos / 'cat'}" in out
    seen = []
    for path in (*sorted((photos / "cat").iterdir()), *sorted((photos / "dog").iterdir())):
        pixels = np.asarray(Image.open(path))
        seen.append(int(pixels[0, 0]))
        assert ((picture(seen[-1]).astype(int) + 128) == pixels).all()
    assert len(set(seen)) == 7, "a picture came twice"
    assert main(["new", str(tmp_path / "mine"), "--data", str(photos), "--yes", "--board", "native"]) == 0
    assert "28x28" in capsys.readouterr().out
