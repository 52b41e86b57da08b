"""The device's frame decoder and encoder on the vectors that the host side uses too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectors.make_frames import TYPES, raw_frame, wire

CASES = json.loads((Path(__file__).parents[1] / "vectors/frames.json").read_text(encoding="utf-8"))["cases"]
COUNTERS = {-6: "broken_cobs", -7: "bad_header_crc", -8: "unknown_version_or_type", -9: "bad_length"}
ROOM = 64


def decode(harness, stream: bytes, payload_max: int = 4096) -> list[dict[str, Any]]:
    """Events in the form of frames.json."""
    events = harness.ffi.new("harness_event_t[]", ROOM)
    count = harness.lib.harness_decode_frames(stream, len(stream), payload_max, events, ROOM)
    result: list[dict[str, Any]] = []
    for event in events[0:count]:
        if event.status != 0:
            result.append({"error": COUNTERS[event.status]})
            continue
        names = ("type", "sequence", "bundle", "request")
        fields: dict[str, Any] = {name: int(getattr(event, name)) for name in names}
        payload = bytes(harness.ffi.buffer(event.payload, event.length)).hex()
        result.append({"frame": fields | {"payload": payload, "damaged": bool(event.damaged)}})
    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_device_reports_what_the_shared_vectors_say(harness, case):
    assert decode(harness, bytes.fromhex(case["wire"])) == case["events"]


def test_the_vectors_are_what_their_script_writes():
    from vectors import make_frames

    assert make_frames.cases() == CASES


frames = st.builds(
    raw_frame,
    st.sampled_from(sorted(TYPES.values())),
    st.binary(max_size=400),
    sequence=st.integers(0, 0xFFFF),
    bundle=st.integers(0, 0xFFFFFFFF),
    request=st.integers(0, 0xFFFFFFFF),
)


@given(frames)
def test_the_device_writes_the_frames_that_the_references_write(harness, raw):
    event = harness.ffi.new("harness_event_t *")
    event.type, event.sequence = raw[1], int.from_bytes(raw[2:4], "little")
    event.bundle, event.request = int.from_bytes(raw[4:8], "little"), int.from_bytes(raw[8:12], "little")
    event.length = int.from_bytes(raw[12:14], "little")
    harness.ffi.memmove(event.payload, raw[16:-4], event.length)
    out = harness.ffi.new("uint8_t[]", 1000)
    n = harness.lib.harness_write_frame(event, out, 1000)
    assert bytes(harness.ffi.buffer(out, n)) == wire(raw)


@given(st.binary(max_size=100), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_whole_payload_behind_the_header_of_another_frame_is_damaged(harness, payload, one, other):
    spliced = raw_frame(0x82, payload, sequence=one)[:16] + raw_frame(0x82, payload, sequence=other)[16:]
    [event] = decode(harness, wire(spliced))
    assert event["frame"]["damaged"] == (one != other)


@given(st.lists(frames, min_size=1, max_size=5), st.binary(max_size=30))
def test_good_frames_after_garbage_and_a_delimiter_are_all_found(harness, raws, garbage):
    stream = garbage + b"\0" + b"".join(wire(raw) for raw in raws)
    found = [event for event in decode(harness, stream) if "frame" in event]
    assert [bytes.fromhex(event["frame"]["payload"]) for event in found] == [raw[16:-4] for raw in raws]


@settings(max_examples=300)
@given(frames, st.data())
def test_one_flipped_bit_is_never_a_different_undamaged_frame(harness, raw, data):
    line = bytearray(wire(raw))
    bit = data.draw(st.integers(0, 8 * (len(line) - 1) - 1))
    line[bit // 8] ^= 1 << bit % 8
    events = decode(harness, bytes(line) + b"\0")
    assert events, "a damaged frame went by without a word"
    for event in events:
        assert "error" in event or event["frame"]["damaged"]


@given(frames, st.data())
def test_a_cut_frame_is_dropped_and_the_next_one_found(harness, raw, data):
    line = wire(raw)
    cut = line[: data.draw(st.integers(1, len(line) - 2))]
    good = raw_frame(TYPES["CREDIT"], b"\1\2\3\4")
    events = decode(harness, cut + b"\0" + wire(good))
    assert [set(event) for event in events] == [{"error"}, {"frame"}]
    assert events[1]["frame"]["payload"] == "01020304"


@given(st.integers(0, 300))
def test_a_small_receiver_drops_what_does_not_fit_as_bad_length(harness, size):
    raw = raw_frame(TYPES["ROWS"], bytes(size))
    good = raw_frame(TYPES["HELLO_REQUEST"])
    first, second = decode(harness, wire(raw) + wire(good), payload_max=100)
    assert ("frame" in first) == (size <= 100)
    assert first == {"error": "bad_length"} or size <= 100
    assert "frame" in second


@given(st.binary(max_size=3000))
def test_random_bytes_never_make_an_undamaged_frame(harness, garbage):
    assert all("error" in event or event["frame"]["damaged"] for event in decode(harness, garbage + b"\0"))
