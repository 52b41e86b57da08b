"""Write the first corpus of both fuzz targets: shared vectors, conversations that reach every answer."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent


def frame_seeds() -> list[bytes]:
    """Receivers of several sizes, each with a case of tests/vectors/frames.json."""
    cases = json.loads((HERE.parent / "vectors/frames.json").read_text(encoding="utf-8"))["cases"]
    seeds = [bytes.fromhex(case["wire"]) for case in cases if len(case["wire"]) < 1200]
    return [struct.pack("<H", (0, 47, 300, 4096)[i % 4]) + seed for i, seed in enumerate(seeds)]


def frame(
    op: int, kind: int, sequence: int = 0, request: int = 7, payload: bytes = b"", extra: int = 0
) -> bytes:
    """A step of fuzz_device.c that sends a frame."""
    step = struct.pack("<BBHIH", op, kind, sequence, request, len(payload)) + payload
    return step + struct.pack("<H", extra) if op & 7 in (3, 4, 5) else step


def rows(first: int, count: int, request: int = 7, op: int = 7) -> bytes:
    """A step that sends rows."""
    return bytes([op, first, count, 100, 1, request])


def device_seeds() -> list[bytes]:
    """Conversations."""
    hello, stats = frame(33, 1), frame(33, 3)
    return [
        hello + stats,
        hello + rows(0, 28) + stats,
        rows(0, 14) + rows(14, 14, op=39),
        rows(0, 14) + rows(20, 8) + rows(0, 28),
        rows(0, 28, op=7 | 16) + rows(0, 28, op=7 | 8),
        rows(0, 29) + rows(27, 2) + rows(28, 0),
        frame(2, 2, payload=struct.pack("<HH", 0, 1) + bytes(28)),
        frame(3, 2, payload=bytes(32), extra=65535),
        frame(4, 1, extra=100) + frame(5, 1, extra=9) + frame(6, 1),
        b"".join(frame(1, 3, sequence=s) for s in (0, 1, 5, 3, 3, 65535, 0, 40000)),
        b"".join(frame(1, 1, request=r) for r in range(20)),
        frame(1, 0x82, payload=b"codes") + frame(1, 1, payload=b"x") + frame(1, 0x7F),
        bytes([0, 6]) + b"\x09abc\0\0" + hello,
        bytes([8, 200]) + b"\xff" * 200 + hello,
        bytes([65, 2]) + struct.pack("<HIH", 0, 7, 4096) + stats,
        *control_seeds(),
    ]


def control(payload: bytes, request: int = 7, op: int = 1) -> bytes:
    """A step that sends CONTROL."""
    return frame(op, 4, request=request, payload=payload)


def control_seeds() -> list[bytes]:
    """Settings of the tiny models' controls (3 and 9) and of the link's (0), right ones and others."""
    stream, limit, idle = bytes([0, 2, 1, 0]), bytes([9, 2, 6, 0]), bytes([3, 4, 200, 0, 0, 0])
    quarters = b"".join(rows(first, 7) for first in (0, 7, 14, 21))
    return [
        control(stream) + quarters + control(bytes([0, 2, 9, 0])) + quarters,
        control(stream) + rows(0, 14) + control(bytes([0, 2, 0, 0])) + rows(14, 14),
        control(limit + idle) + rows(0, 28) + rows(0, 28),
        control(limit, request=9) + rows(0, 28) + rows(0, 28, request=9) + frame(33, 1) + rows(0, 28),
        control(bytes([9, 2, 19, 0])) + control(bytes([9, 2])) + control(b"") + control(bytes([8, 2, 0, 0])),
        control(limit, op=2) + control(limit, op=17) + control(limit, op=6),
    ]


def main() -> None:
    """One file a seed, named by its digest as libFuzzer names them."""
    for folder, seeds in (("frames", frame_seeds()), ("device", device_seeds())):
        for seed in seeds:
            name = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
            (HERE / "corpus" / folder / name).write_bytes(seed)


if __name__ == "__main__":
    main()
