"""The device runtime under AddressSanitizer and UndefinedBehaviorSanitizer, fed on standard input."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs

from c import tiny_reference as tiny
from vectors.make_frames import TYPES, flip, raw_frame, wire

CASES = json.loads((Path(__file__).parents[1] / "vectors/frames.json").read_text(encoding="utf-8"))["cases"]
HELLO = b"\0" + wire(raw_frame(TYPES["HELLO_REQUEST"], bundle=0, request=0))


def run(driver: Path, *arguments: str, data: bytes = b"") -> bytes:
    """Output of the driver; a sanitizer's finding fails the test with its report."""
    command = [str(driver), *arguments]
    result = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result.stdout


def last_type(output: bytes) -> int:
    return cobs.decode(output.split(b"\0")[-2])[1]


def test_the_sanitizers_are_on(sanitised_driver):
    symbols = sanitised_driver.read_bytes()
    assert b"__asan_report_store1" in symbols and b"__ubsan_handle" in symbols


def test_a_megabyte_of_random_bytes_does_no_harm_and_hello_answers(sanitised_driver):
    noise = random.Random(1).randbytes(1_000_000)
    assert last_type(run(sanitised_driver, "device", "977", data=noise + HELLO)) == TYPES["HELLO"]


@pytest.mark.parametrize("chunk", ["1", "13", "4096"])
def test_mutated_conversations_do_no_harm_and_hello_answers(sanitised_driver, chunk):
    """Frames with right and with forged checksums, cut, doubled and flipped anywhere."""
    rng = random.Random(int(chunk))
    stream = bytearray()
    for number in range(3000):
        first, count = rng.choice([(0, 28), (0, 14), (14, 14), (rng.randrange(40), rng.randrange(40))])
        body = struct.pack("<HH", first, count) + rng.randbytes(rng.choice([28 * count, rng.randrange(2045)]))
        length = rng.choice([None, None, rng.randrange(65536)])
        kind = rng.choice([0x02, 0x02, 0x02, 0x01, 0x03, rng.randrange(256)])
        bundle = rng.choice([tiny.BUNDLE, tiny.BUNDLE, rng.randrange(2**32)])
        raw = raw_frame(kind, body[:4096], bundle=bundle, request=number // 3, length=length)
        line = wire(raw)
        if rng.random() < 0.3:
            line = flip(line, rng.randrange(8 * len(line)))
        if rng.random() < 0.1:
            line = line[: rng.randrange(len(line))]
        stream += line
    output = run(sanitised_driver, "device", chunk, data=bytes(stream) + HELLO)
    assert last_type(output) == TYPES["HELLO"]


@pytest.mark.parametrize("payload_max", [0, 1, 47, 100, 4096])
def test_the_shared_vectors_run_through_receivers_of_every_size(sanitised_driver, payload_max):
    stream = b"".join(b"\0" + bytes.fromhex(case["wire"]) for case in CASES) + b"\0"
    lines = run(sanitised_driver, "frames", str(payload_max), data=stream).decode().splitlines()
    delivered = [line for line in lines if line.startswith("0 ")]
    assert len(lines) >= len(CASES) - 1
    assert all(int(line.split()[2]) <= payload_max for line in delivered)


def test_packing_polling_and_misuse_stay_in_their_buffers(sanitised_driver):
    assert run(sanitised_driver, "packing") == b"ok\n"


def test_the_largest_products_that_the_tail_allows_do_not_overflow(sanitised_driver):
    """At the edge that the host proves: |threshold| x den and 255^2 x 2^40 within int64."""
    channels, levels = 4, 16
    gamma = np.full((channels, channels), 60_000, np.int32)
    beta = np.full(channels, 2**34, np.int64)
    den = 2**34 + 4 * 60_000 * 255**2
    edge = min(2**31 - 1, (2**63 - 1) // den)
    threshold = np.linspace(-edge, edge, levels - 1).astype(np.int32)[None].repeat(channels, 0)
    latents = np.array([[-128] * 4, [127] * 4, [-128, 127, 0, 1]], np.int8)
    for zero_point in (-128, 127, 0):
        head = struct.pack("<HH", channels, levels) + beta.tobytes() + gamma.tobytes() + threshold.tobytes()
        data = head + struct.pack("<b", zero_point) + latents.tobytes()
        codes = run(sanitised_driver, "gdn", data=data)
        assert len(codes) == latents.size and max(codes) < levels
