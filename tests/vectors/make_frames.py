"""Write tests/vectors/frames.json: frames of docs/wire-format.md, whole and broken, for Python and C alike.

Made with references that are none of the code under test: the `cobs` package, binascii.crc_hqx, zlib.crc32,
struct. Run it again after a change of the wire format: `python tests/vectors/make_frames.py`.

Each case: `wire`, the bytes on the line (hex); `events`, what a receiver that accepts 4,096 payload bytes
reports, in order: a frame with its fields, or `{"error": counter}` for a dropped one. Checks are made in the
order COBS form, at least 20 bytes, header CRC, version and type, length; the CRC-32 over header and payload
only sets `damaged`. `prefixes`: what the prefix of each CODES_PART frame says to a receiver that knows of
`controls` controls, None where it is not to be believed.
"""

from __future__ import annotations

import binascii
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from cobs import cobs

TYPES = {
    "HELLO_REQUEST": 0x01,
    "ROWS": 0x02,
    "STATS_REQUEST": 0x03,
    "CONTROL": 0x04,
    "CAPTURE": 0x05,
    "HELLO": 0x81,
    "CODES": 0x82,
    "IMAGE_STATS": 0x83,
    "CREDIT": 0x84,
    "REFUSED": 0x85,
    "LINK_STATS": 0x86,
    "FAULT": 0x87,
    "CODES_PART": 0x88,
    "SOURCE_ROWS": 0x89,
}


def raw_frame(
    kind: int,
    payload: bytes = b"",
    *,
    sequence: int = 1,
    bundle: int = 0xA1B2C3D4,
    request: int = 7,
    version: int = 3,
    length: int | None = None,
) -> bytes:
    """A frame before COBS; `length` overrides the length field."""
    field = len(payload) if length is None else length
    header = struct.pack("<BBHIIH", version, kind, sequence, bundle, request, field)
    header += struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    return header + payload + struct.pack("<I", zlib.crc32(header + payload))


def wire(raw: bytes) -> bytes:
    """The frame on the line: COBS and delimiter."""
    return cobs.encode(raw) + b"\0"


def event(raw: bytes, *, damaged: bool = False) -> dict[str, Any]:
    """What a receiver reports for a frame that it delivers."""
    _, kind, sequence, bundle, request, length = struct.unpack_from("<BBHIIH", raw)
    return {
        "frame": {
            "type": kind,
            "sequence": sequence,
            "bundle": bundle,
            "request": request,
            "payload": raw[16 : 16 + length].hex(),
            "damaged": damaged,
        }
    }


def error(counter: str) -> dict[str, Any]:
    """What a receiver reports for a frame that it drops."""
    return {"error": counter}


def flip(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit flipped (bit 0 is the lowest bit of byte 0)."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def whole_cases() -> list[tuple[str, bytes, list[dict[str, Any]]]]:
    """Undamaged frames of every type and of awkward lengths."""
    ramp = bytes(range(256))
    cases = []
    payloads = {
        "HELLO_REQUEST": b"",
        "ROWS": struct.pack("<HH", 3, 2) + bytes(range(200, 256)),
        "STATS_REQUEST": b"",
        "CONTROL": struct.pack("<BBHBBI", 1, 2, 24, 0, 4, 16),
        "CAPTURE": b"",
        "HELLO": b"\x01\x01\x03\x15\x03abc\xfe\x00",
        "CODES": bytes((i * 37 + 11) & 255 for i in range(48)),
        "IMAGE_STATS": struct.pack("<III", 123456, 512, 2**32 - 1),
        "CREDIT": struct.pack("<IH", 4, 0xFFFF),
        "REFUSED": b"\x02",
        "LINK_STATS": struct.pack("<12I", *range(1, 13)),
        "FAULT": struct.pack("<8I", *range(1, 9)),
        "CODES_PART": bytes(48),
        "SOURCE_ROWS": struct.pack("<HH", 27, 1) + bytes(range(100, 128)),
    }
    about_an_image = set(payloads) - {
        "HELLO_REQUEST",
        "STATS_REQUEST",
        "HELLO",
        "CREDIT",
        "LINK_STATS",
        "FAULT",
    }
    for name, kind in TYPES.items():
        raw = raw_frame(
            kind,
            payloads[name],
            sequence=kind,
            bundle=0 if name == "HELLO_REQUEST" else 0xA1B2C3D4,
            request=7 if name in about_an_image else 0,
        )
        cases.append((f"{name} is delivered", wire(raw), [event(raw)]))
    extremes = raw_frame(TYPES["CODES"], b"\0\0\0", sequence=0xFFFF, bundle=0xFFFFFFFF, request=0xFFFFFFFF)
    cases.append(("the largest field values and a payload of zeros", wire(extremes), [event(extremes)]))
    for n in (233, 234, 235, 253, 254, 255, 508, 2047, 2048, 4095, 4096):
        raw = raw_frame(TYPES["CODES"], (b"\xff" * n), sequence=n, bundle=0x01010101, request=0x01010101)
        cases.append((f"a payload of {n} bytes without a zero", wire(raw), [event(raw)]))
    mixed = raw_frame(TYPES["ROWS"], struct.pack("<HH", 0, 1) + ramp * 3)
    cases.append(("a payload of all byte values", wire(mixed), [event(mixed)]))
    two = [raw_frame(TYPES["CREDIT"], struct.pack("<I", i), sequence=i, request=0) for i in range(2)]
    cases.append(("two frames back to back", wire(two[0]) + wire(two[1]), [event(two[0]), event(two[1])]))
    cases.append(("empty frames are ignored", b"\0\0\0" + wire(two[0]) + b"\0\0", [event(two[0])]))
    cases.append(("half a frame reports nothing yet", wire(two[0])[:-1], []))
    return cases


def part(
    codes: bytes, *, flags: int, offset: int, bits: int, values: tuple[int, ...], sequence: int
) -> bytes:
    """A CODES_PART frame before COBS; its prefix ends with a CRC-16 over header and prefix."""
    front = struct.pack(f"<BBHI{len(values)}H", flags, len(values), offset, bits, *values)
    length = len(front) + 2 + len(codes)
    header = struct.pack("<BBHIIH", 3, TYPES["CODES_PART"], sequence, 0xA1B2C3D4, 7, length)
    crc = binascii.crc_hqx(header + front, 0xFFFF)
    return raw_frame(TYPES["CODES_PART"], front + struct.pack("<H", crc) + codes, sequence=sequence)


def part_cases() -> list[tuple[str, bytes, list[dict[str, Any]], list[dict[str, Any] | None]]]:
    """Fragments of an image with two controls, and what their prefixes say (None: damaged)."""
    said = {"last": False, "streamed": True, "offset": 0, "bits": 0, "values": [24, 65535]}
    first = part(b"\xaa" * 30, flags=2, offset=0, bits=0, values=(24, 65535), sequence=5)
    end = part(b"\x55" * 9, flags=1, offset=30, bits=305, values=(24, 65535), sequence=6)
    whole = part(b"", flags=1, offset=0, bits=0, values=(0, 0), sequence=8)
    last = said | {"last": True, "streamed": False, "offset": 30, "bits": 305}
    nothing = last | {"offset": 0, "values": [0, 0], "bits": 0}
    in_codes, in_prefix = flip(end, 8 * 40), flip(end, 8 * 18)
    stolen = end[:16] + first[16:30] + end[30:]
    return [
        (
            "two fragments of an image",
            wire(first) + wire(end),
            [event(first), event(end)],
            [said, last],
        ),
        ("an image of no bits", wire(whole), [event(whole)], [nothing]),
        ("a fragment with damaged codes", wire(in_codes), [event(in_codes, damaged=True)], [last]),
        ("a fragment with a damaged prefix", wire(in_prefix), [event(in_prefix, damaged=True)], [None]),
        (
            "the prefix of one fragment behind the header of another",
            wire(stolen),
            [event(stolen, damaged=True)],
            [None],
        ),
    ]


def broken_cases() -> list[tuple[str, bytes, list[dict[str, Any]]]]:
    """Frames that are damaged, forged, cut or too long; a good one follows where that tells more."""
    codes = raw_frame(TYPES["CODES"], bytes(range(1, 49)))
    good = raw_frame(TYPES["CREDIT"], struct.pack("<I", 9), sequence=2, request=0)
    after = [event(good)]
    damaged = flip(codes, 8 * 30 + 3)
    bad_trailer = flip(codes, 8 * (len(codes) - 1))
    spliced = codes[:16] + raw_frame(TYPES["CODES"], bytes(range(2, 50)), sequence=4, request=8)[16:]
    rows = flip(raw_frame(TYPES["ROWS"], struct.pack("<HH", 0, 1) + bytes(28)), 8 * 25)
    return [
        (
            "a whole payload behind another frame's header is damaged",
            wire(spliced),
            [event(spliced, damaged=True)],
        ),
        ("damaged CODES are delivered with the flag", wire(damaged), [event(damaged, damaged=True)]),
        (
            "a damaged payload CRC of CODES sets the flag",
            wire(bad_trailer),
            [event(bad_trailer, damaged=True)],
        ),
        ("damaged ROWS carry the flag", wire(rows), [event(rows, damaged=True)]),
        (
            "a wrong header CRC drops the frame",
            wire(flip(codes, 8 * 14)) + wire(good),
            [error("bad_header_crc"), *after],
        ),
        (
            "a flipped request drops the frame",
            wire(flip(codes, 8 * 8 + 5)) + wire(good),
            [error("bad_header_crc"), *after],
        ),
        (
            "an unknown version",
            wire(raw_frame(0x82, b"abc", version=4)) + wire(good),
            [error("unknown_version_or_type"), *after],
        ),
        (
            "the version before this one",
            wire(raw_frame(0x81, bytes(96), version=2)) + wire(good),
            [error("unknown_version_or_type"), *after],
        ),
        (
            "an unknown type",
            wire(raw_frame(0x7F, b"abc")) + wire(good),
            [error("unknown_version_or_type"), *after],
        ),
        ("type 0 is unknown", wire(raw_frame(0x00)), [error("unknown_version_or_type")]),
        (
            "a length field that is too small",
            wire(raw_frame(0x82, b"abcd", length=3)) + wire(good),
            [error("bad_length"), *after],
        ),
        (
            "a length field that is too large",
            wire(raw_frame(0x82, b"abcd", length=5)) + wire(good),
            [error("bad_length"), *after],
        ),
        ("a forged length of 65,535", wire(raw_frame(0x82, b"abcd", length=65535)), [error("bad_length")]),
        (
            "a payload of 4,097 bytes",
            wire(raw_frame(0x82, bytes(4097))) + wire(good),
            [error("bad_length"), *after],
        ),
        (
            "10,000 bytes without a delimiter, then a good frame",
            wire(bytes([1, 2, 3]) * 3333) + wire(good),
            [error("bad_header_crc"), *after],
        ),
        ("a frame cut in its payload", wire(codes[:40]) + wire(good), [error("bad_length"), *after]),
        ("a frame cut in its header", wire(codes[:10]) + wire(good), [error("bad_length"), *after]),
        ("a header without its payload CRC", wire(raw_frame(0x01)[:16]), [error("bad_length")]),
        ("19 bytes", wire(bytes(range(19))), [error("bad_length")]),
        ("one byte", b"\x01\0", [error("bad_length")]),
        (
            "a COBS block that runs past the delimiter",
            b"\x05abc\0" + wire(good),
            [error("broken_cobs"), *after],
        ),
        (
            "a frame torn in the middle of the line",
            wire(codes)[:30] + b"\0" + wire(good),
            [error("broken_cobs"), *after],
        ),
        (
            "the second half of a frame, then a good one",
            wire(codes)[25:] + wire(good),
            [error("broken_cobs"), *after],
        ),
        (
            "a good frame between garbage",
            b"\xff\xff\0" + wire(codes) + b"\xee\0",
            [error("broken_cobs"), event(codes), error("broken_cobs")],
        ),
    ]


def cases() -> list[dict[str, Any]]:
    """All of them."""
    table = whole_cases() + broken_cases()
    found: list[dict[str, Any]] = [
        {"name": name, "wire": data.hex(), "events": events} for name, data, events in table
    ]
    found += [
        {"name": name, "wire": data.hex(), "events": events, "controls": 2, "prefixes": prefixes}
        for name, data, events, prefixes in part_cases()
    ]
    return found


def main() -> None:
    """Write frames.json beside this file."""
    path = Path(__file__).with_name("frames.json")
    temporary = path.with_suffix(".json.tmp")
    document = {
        "about": "cases of docs/wire-format.md, written by make_frames.py",
        "types": TYPES,
        "cases": cases(),
    }
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    main()
