"""The device with controls and fragments behind a bad line: no image is ever decoded with other values."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from c import tiny_reference as tiny
from fakes.link_device import setting
from semflash.errors import LinkError
from semflash.firmware.emulator.native import NativePort
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.outcome import Lost
from semflash.link.session import Expected, Session
from semflash.program.controls import Control
from vectors.make_frames import TYPES, raw_frame, wire

CONTROLS = (Control("idle", 3, 0, 500, 5, "entry", sticky=False), Control("bytes", 9, 4, 18, 18, "bytes"))
EXPECTED = Expected("tiny", tiny.BUNDLE, 28, 28, 18, CONTROLS, varies=True)
IMAGES = 400


class Clock:
    """Time that passes with every look and every wait, so that nobody waits really."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.0005
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(
    "spec",
    [
        "flip=1e-4",
        "drop=5e-4:3",
        "lose=0.03,duplicate=0.03",
        "burst=5e-4:12",
        "up.drop=1e-3:80",
        "reset=0.01",
    ],
)
@pytest.mark.parametrize("stream", [0, 3])
def test_every_image_is_decoded_with_the_values_that_it_was_encoded_with(
    steered_library: Path, spec: str, stream: int
) -> None:
    chance = random.Random(f"{spec} {stream}")
    pictures = np.random.default_rng(5).integers(-128, 128, (40, 28, 28)).astype(np.int8)
    whole = [tiny.payload(picture) for picture in pictures]
    wanted = [
        {"bytes": chance.choice([4, 6, 11, 18]), "idle": chance.choice([5, 5, 70])} for _ in range(IMAGES)
    ]
    clock, received, lost, damaged = Clock(), 0, 0, 0
    with NativePort(steered_library, timeout=0.0) as native:
        faulty = FaultyPort(
            native, FaultSpec.parse(f"{spec};seed=3"), clock=clock, sleep=clock.sleep, reset=native.reset
        )
        session = Session(faulty, EXPECTED, clock=clock, timeout_s=2.0, hello_attempts=10)
        session.set_controls({"stream": stream})
        source = iter([(n, pictures[n % 40], controls) for n, controls in enumerate(wanted)])
        for _ in range(20):
            try:
                for found in session.stream(source):
                    if isinstance(found, Lost):
                        lost += 1
                        continue
                    received += 1
                    assert found.controls == wanted[found.index]
                    codes, bits = tiny.cut(whole[found.index % 40], found.controls["bytes"])
                    assert (len(found.payload), found.bits) == (len(codes), bits)
                    damaged += found.damaged
                    spared = set(range(len(codes))) - {i for a, b in found.damaged_parts for i in range(a, b)}
                    assert all(found.payload[i] == codes[i] for i in spared)
                break
            except LinkError:
                continue
    assert received + lost == IMAGES and received > 0.7 * IMAGES
    assert damaged > 0 or "flip" not in spec
    assert sum(faulty.log.by_name().values()) > 10, "the line was too good"


def test_the_steered_device_is_clean_under_the_sanitizers(sanitised_steered_driver: Path) -> None:
    chance = random.Random(4)
    stream = bytearray()
    for number in range(300):
        settings = [
            (9, chance.randrange(30)),
            (3, chance.randrange(700)),
            (0, chance.choice([0, 1, 5, 70000])),
        ]
        payload = b"".join(
            setting(which, value & 0xFFFF if size == 2 else value, size)
            for which, value in chance.sample(settings, chance.randint(0, 3))
            for size in (chance.choice([2, 4]),)
        )
        payload = payload[: chance.randint(0, len(payload))] if chance.random() < 0.2 else payload
        ahead = number + chance.choice([0, 0, 1, 5])
        stream += wire(raw_frame(TYPES["CONTROL"], payload, bundle=tiny.BUNDLE, request=ahead))
        for first in range(0, 28, 7):
            rows = first.to_bytes(2, "little") + b"\7\0" + chance.randbytes(7 * 28)
            line = bytearray(wire(raw_frame(TYPES["ROWS"], rows, bundle=tiny.BUNDLE, request=number)))
            if chance.random() < 0.02:
                line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
            stream += line
    stream += b"\0" + wire(raw_frame(TYPES["HELLO_REQUEST"], bundle=0))
    done = subprocess.run(
        [str(sanitised_steered_driver), "device", "977"],
        input=bytes(stream),
        capture_output=True,
        timeout=120,
        check=False,
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    assert len(done.stdout) > 10_000
