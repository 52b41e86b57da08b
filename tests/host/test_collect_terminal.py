"""`semflash collect --keys` in a pseudo terminal, at a device behind a socket: what is seen and kept."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("rich")

from PIL import Image

from fakes.link_device import FakeDevice
from fakes.terminal import ALTERNATE_OFF, Terminal
from semflash.bundle import read_bundle

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture
def where() -> Iterator[str]:
    """A board behind a socket, whose source gives flat pictures of 1, 2, 3 ..."""
    bundle = read_bundle(TINY)
    height, width, channels = bundle.image_shape
    numbers = count(1)
    device = FakeDevice(
        bundle=bundle.hash32,
        rows=height,
        row_bytes=width * channels,
        payload_bytes=bundle.payload_bytes,
        source=lambda: bytes([next(numbers) % 256 ^ 0x80]) * (height * width * channels),
    )

    def serve() -> None:
        line, _ = server.accept()
        with line:
            while data := line.recv(4096):
                device.write(data)
                while device.in_waiting:
                    line.sendall(device.read(4096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"


def test_keys_store_what_is_shown_and_the_terminal_is_as_before(where: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    command = [sys.executable, "-m", "semflash.cli", "collect", str(TINY), "--port", where]
    flags = ["--images", str(photos), "--keys", "cat,dog"]
    with Terminal([*command, *flags], SEMFLASH_STATE_DIR=str(tmp_path / "state")) as terminal:
        terminal.wait_for("the board sees")
        terminal.press("1")
        terminal.wait_for("1 cat 1  2 dog 0")
        terminal.press(" ")
        terminal.wait_for("held")
        terminal.press("2")
        terminal.wait_for("1 cat 1  2 dog 1")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_as_before()
        after = terminal.text.rpartition(ALTERNATE_OFF)[2]
        assert f"cat: 1 stored, 1 in {photos / 'cat'}" in after and "next: semflash new mine --data" in after
    cat, dog = (np.asarray(Image.open(photos / label / f"{label}-000001.png")) for label in ("cat", "dog"))
    assert len(np.unique(cat)) == len(np.unique(dog)) == 1 and cat[0, 0] < dog[0, 0]
