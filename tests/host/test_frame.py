"""Frames on the wire: the shared vectors, and decoders that stay sane whatever comes."""

from __future__ import annotations

import binascii
import json
import struct
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.link_device import build, on_wire
from semflash.link.codes.prefix import read_prefix
from semflash.link.frame import (
    WIRE_MAX,
    Dropped,
    Event,
    Frame,
    FrameDecoder,
    FrameType,
    crc16,
    encode_frame,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text(encoding="utf-8"))
CASES = VECTORS["cases"]

frames = st.builds(
    Frame,
    st.sampled_from(list(FrameType)),
    st.binary(max_size=600),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
)


def feed_in_pieces(data: bytes, size: int) -> list[Event]:
    decoder = FrameDecoder()
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += decoder.feed(data[start : start + size])
    return events


def as_vector(event: Event) -> dict[str, Any]:
    if isinstance(event, Dropped):
        return {"error": str(event.reason)}
    return {
        "frame": {
            "type": int(event.type),
            "sequence": event.sequence,
            "bundle": event.bundle,
            "request": event.request,
            "payload": event.payload.hex(),
            "damaged": event.damaged,
        }
    }


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_shared_vectors_give_their_events_in_any_splits(case: dict[str, Any], size: int) -> None:
    assert [as_vector(e) for e in feed_in_pieces(bytes.fromhex(case["wire"]), size)] == case["events"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if "prefixes" in case], ids=lambda case: str(case["name"])
)
def test_prefixes_say_what_the_shared_vectors_say(case: dict[str, Any]) -> None:
    found = [e for e in feed_in_pieces(bytes.fromhex(case["wire"]), 9) if isinstance(e, Frame)]
    parts = [read_prefix(frame, case["controls"]) for frame in found]
    said = [None if p is None else asdict(p.prefix) | {"values": list(p.prefix.values)} for p in parts]
    assert said == case["prefixes"]
    assert [read_prefix(frame, case["controls"] + 1) for frame in found] == [None] * len(found)


def test_the_types_are_those_of_the_vectors() -> None:
    assert {kind.name: int(kind) for kind in FrameType} == VECTORS["types"]


@pytest.mark.parametrize(
    "case", [c for c in CASES if len(c["events"]) == 1 and c["name"].endswith("is delivered")]
)
def test_encoding_gives_the_bytes_of_the_vectors(case: dict[str, Any]) -> None:
    fields = dict(case["events"][0]["frame"])
    fields["type"], fields["payload"] = FrameType(fields["type"]), bytes.fromhex(fields["payload"])
    assert encode_frame(Frame(**fields)).hex() == case["wire"]


@given(frames)
def test_encoding_equals_struct_cobs_and_crc_by_hand(frame: Frame) -> None:
    header = struct.pack(
        "<BBHIIH", 3, frame.type, frame.sequence, frame.bundle, frame.request, len(frame.payload)
    )
    header += struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    by_hand = (
        cobs.encode(header + frame.payload + struct.pack("<I", zlib.crc32(header + frame.payload))) + b"\0"
    )
    assert encode_frame(frame) == by_hand


@given(st.binary(min_size=1, max_size=120), st.integers(0, 8 * 16 - 1))
def test_a_whole_payload_behind_another_header_is_damaged(payload: bytes, bit: int) -> None:
    own = bytearray(build(0x82, payload, request=77, bundle=5, sequence=3)[:14])
    own[2 + bit % 2] ^= 1 << bit // 16
    own += struct.pack("<H", binascii.crc_hqx(own, 0xFFFF))
    other = build(0x82, payload, request=77, bundle=5, sequence=3)
    (event,) = FrameDecoder().feed(on_wire(bytes(own) + other[16:]))
    assert isinstance(event, Frame) and event.damaged


@given(st.lists(frames, max_size=4), st.integers(1, 97))
def test_frames_come_back_whatever_the_splits(sent: list[Frame], size: int) -> None:
    assert feed_in_pieces(b"".join(map(encode_frame, sent)), size) == sent


def test_crc16_is_that_of_the_catalogue() -> None:
    assert crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize("n", [4097, 9000])
def test_a_payload_that_is_too_long_is_not_encoded(n: int) -> None:
    with pytest.raises(ValueError, match="4096"):
        encode_frame(Frame(FrameType.ROWS, bytes(n)))


@pytest.mark.parametrize("field", ["sequence", "bundle", "request"])
def test_a_field_out_of_range_is_not_encoded(field: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        encode_frame(Frame(FrameType.ROWS, **{field: 1 << 32}))


@given(frames, st.data())
def test_a_frame_cut_anywhere_is_never_delivered(frame: Frame, data: st.DataObject) -> None:
    wire = encode_frame(frame)
    cut = data.draw(st.integers(0, len(wire) - 2))
    good = Frame(FrameType.CREDIT, b"\1\0\0\0", 9)
    *events, last = feed_in_pieces(wire[:cut] + b"\0" + encode_frame(good), 1000)
    assert last == good
    assert all(isinstance(event, Dropped) for event in events)


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=120), st.data())
def test_a_flipped_bit_before_framing_never_changes_a_header_field(
    payload: bytes, data: st.DataObject
) -> None:
    raw = bytearray(build(0x82, payload, request=77, bundle=5, sequence=3))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << (bit % 8)
    (event,) = FrameDecoder().feed(on_wire(bytes(raw)))
    if bit < 8 * 16:
        assert isinstance(event, Dropped)
    else:
        assert isinstance(event, Frame)
        assert (event.type, event.request, event.sequence, event.damaged) == (FrameType.CODES, 77, 3, True)


@settings(max_examples=200)
@given(st.binary(max_size=5000), st.integers(1, 600))
def test_garbage_never_raises_and_a_good_frame_after_it_is_heard(noise: bytes, size: int) -> None:
    good = Frame(FrameType.HELLO, bytes(72), 1, 2)
    assert feed_in_pieces(noise + b"\0" + encode_frame(good), size)[-1] == good


@given(st.binary(max_size=3000), st.integers(1, 500))
def test_every_frame_gives_exactly_one_event(noise: bytes, size: int) -> None:
    whole = noise + b"\0"
    assert len(feed_in_pieces(whole, size)) == sum(1 for piece in whole.split(b"\0") if piece)


def test_memory_stays_bounded_without_a_delimiter() -> None:
    decoder = FrameDecoder()
    for _ in range(200):
        decoder.feed(b"\xff" * 10_000)
    assert decoder.pending_bytes == 2_000_000
    assert len(decoder._start) <= WIRE_MAX
