"""Payloads and the handshake field by field, against bytes packed by hand from docs/wire-format.md."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from fakes.link_device import entries
from semflash.errors import LinkError, UsageError, WrongFirmwareError
from semflash.link import messages, wire
from semflash.link.counters import LinkCounters
from semflash.link.errors import GarbageError, SilenceError
from semflash.link.faults.kinds import FaultReport, parse_fault
from semflash.link.frame import PAYLOAD_MAX, PROTOCOL_VERSION, Drop, Dropped, Frame, FrameType
from semflash.link.handshake import Expected, HelloWatch, check_hello
from semflash.link.raw_record import MAGIC, RawReader, RawRecorder
from semflash.program.controls import Control

FIELDS: dict[str, Any] = {
    "protocol": PROTOCOL_VERSION,
    "kind": 1,
    "window": 8,
    "rows_payload": 228,
    "rows": 28,
    "row_bytes": 56,
    "payload_bits": 381,
    "bundle": 0x12345678,
    "build": 0xCAFE,
    "clock": 168_000_000,
    "scale": 65_536,
    "cause": 5,
    "board": b"nucleo_f446re",
    "engine": b"aot/fused",
    "capabilities": 0b11,
    "version": (1, 2, 3),
    "uptime": 1 << 40,
    "sent": 77,
    "pilots": 4,
    "fragment": 1000,
    "prefix": 1,
    "controls": (9, 3),
    "device": b"\xde\xad\x01",
}


def hello_entries(**changes: Any) -> dict[int, bytes]:
    """HELLO's entries by the tags of the wire format."""
    f = FIELDS | changes
    u16, u32 = struct.Struct("<H").pack, struct.Struct("<I").pack
    found = {
        1: bytes([f["protocol"]]),
        2: struct.pack("<BI", f["kind"], f["scale"]),
        3: u16(f["window"]),
        4: u16(f["rows_payload"]),
        5: struct.pack("<HH", f["rows"], f["row_bytes"]),
        6: u32(f["payload_bits"]),
        7: u32(f["bundle"]),
        8: u32(f["build"]),
        9: u32(f["clock"]),
        10: bytes([f["cause"]]),
        11: f["board"],
        12: f["engine"],
        13: u32(f["capabilities"]),
        14: bytes(f["version"]),
        15: struct.pack("<Q", f["uptime"]),
        16: u32(f["sent"]),
        17: u16(f["pilots"]),
        18: u16(f["fragment"]),
        19: bytes([f["prefix"]]),
        20: bytes(f["controls"]),
        21: f["device"],
    }
    return {tag: value for tag, value in found.items() if value or tag != 20}


def hello_bytes(**changes: Any) -> bytes:
    """The payload of HELLO."""
    return entries(*hello_entries(**changes).items())


def test_hello_is_read_field_by_field() -> None:
    hello = messages.parse_hello(hello_bytes())
    assert dataclasses.asdict(hello) == {
        "protocol": PROTOCOL_VERSION,
        "counter": "instructions",
        "window": 8,
        "rows_payload": 228,
        "rows": 28,
        "row_bytes": 56,
        "payload_bits": 381,
        "bundle": 0x12345678,
        "build_id": 0xCAFE,
        "clock_hz": 168_000_000,
        "counter_scale": 65_536,
        "reset_cause": "fault",
        "board": "nucleo_f446re",
        "engine": "aot/fused",
        "capabilities": frozenset({"pilots", "time"}),
        "version": "1.2.3",
        "uptime_us": 1 << 40,
        "frames_sent": 77,
        "pilot_bytes": 4,
        "fragment_bytes": 1000,
        "prefix": 1,
        "controls": (9, 3),
        "device_id": "dead01",
    }
    assert (hello.payload_bytes, hello.prefix_bytes) == (48, 8 + 2 * 2 + 2)


@pytest.mark.parametrize("kind, text", [(0, "none"), (1, "instructions"), (2, "cycles"), (3, "kind 3")])
def test_counters_have_names(kind: int, text: str) -> None:
    assert messages.parse_hello(hello_bytes(kind=kind)).counter == text


@pytest.mark.parametrize(
    ("cause", "text"),
    enumerate(("unknown", "power-on", "pin", "software", "watchdog", "fault", "cause 6")),
)
def test_reset_causes_have_names(cause: int, text: str) -> None:
    assert messages.parse_hello(hello_bytes(cause=cause)).reset_cause == text


def test_capabilities_are_named_bit_by_bit() -> None:
    known = [
        messages.parse_hello(hello_bytes(capabilities=1 << bit)).capabilities for bit in (0, 1, 2, 3, 31)
    ]
    assert known == [{"pilots"}, {"time"}, {"faults"}, {"stream"}, {"bit 31"}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"window": 0}, "a size is 0"),
        ({"rows": 0}, "a size is 0"),
        ({"row_bytes": 0}, "a size is 0"),
        ({"payload_bits": 0}, "a size is 0"),
        ({"fragment": 0}, "a size is 0"),
        ({"rows_payload": 59}, "does not fit into ROWS"),
        ({"rows_payload": 60}, None),
        ({"rows_payload": PAYLOAD_MAX}, None),
        ({"rows_payload": PAYLOAD_MAX + 1}, "do not fit into a frame"),
        ({"fragment": PAYLOAD_MAX - 14 - 4}, None),
        ({"fragment": PAYLOAD_MAX - 14 - 3}, "do not fit into a frame"),
        ({"payload_bits": 8 * 1024 * 7, "fragment": 7}, None),
        ({"payload_bits": 8 * 1024 * 7 + 1, "fragment": 7}, "1,025 fragments"),
        ({"prefix": 0, "controls": ()}, None),
        ({"prefix": 0}, "without a prefix"),
        ({"prefix": 0, "controls": (), "fragment": 47}, "without a prefix"),
        ({"prefix": 2}, "prefix format 2, known is 1"),
        ({"controls": (9, 9)}, "a control twice"),
        ({"controls": (9, 0)}, "id 0"),
    ],
)
def test_a_hello_whose_numbers_contradict_each_other_is_refused(
    changes: dict[str, int], says: str | None
) -> None:
    if says is None:
        messages.parse_hello(hello_bytes(**changes))
    else:
        with pytest.raises(LinkError, match=says):
            messages.parse_hello(hello_bytes(**changes))


@pytest.mark.parametrize("tag", range(1, 19))
def test_a_hello_without_a_required_entry_names_it(tag: int) -> None:
    found = hello_entries()
    del found[tag]
    with pytest.raises(LinkError, match=rf"without {wire.HelloTag(tag).name}\b"):
        messages.parse_hello(entries(*found.items()))


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(LinkError, match=r"without PROTOCOL, COUNTER, .*FRAGMENT"):
        messages.parse_hello(b"")


def test_optional_entries_may_be_missing_and_unknown_ones_are_passed_by() -> None:
    found = hello_entries()
    for tag in (19, 20, 21):
        del found[tag]
    hello = messages.parse_hello(entries((0, b""), (255, bytes(200)), *found.items()))
    assert (hello.prefix, hello.controls, hello.device_id) == (0, (), "")
    assert hello.board == "nucleo_f446re"


@pytest.mark.parametrize("tag", range(1, 22))
def test_an_entry_twice_or_of_a_wrong_length_is_refused(tag: int) -> None:
    found = hello_entries()
    with pytest.raises(LinkError, match=f"entry {wire.HelloTag(tag).name} twice"):
        messages.parse_hello(entries(*found.items(), (tag, found[tag])))
    longest = {11: 24, 12: 16, 20: 255, 21: 16}
    wrong = bytes(longest[tag] + 1) if tag in longest and tag != 20 else b""
    if tag not in longest:
        wrong = found[tag] + b"\0"
    with pytest.raises(LinkError, match=f"entry {wire.HelloTag(tag).name} of {len(wrong)} bytes"):
        messages.parse_hello(entries(*(found | {tag: wrong}).items()))


def test_an_unknown_entry_twice_is_refused_as_well() -> None:
    with pytest.raises(LinkError, match="entry 99 twice"):
        messages.parse_hello(hello_bytes() + entries((99, b""), (99, b"")))


def test_a_hello_that_is_cut_off_is_refused_wherever_it_ends() -> None:
    whole = hello_bytes()
    device, controls = (2 + len(hello_entries()[tag]) for tag in (21, 20))
    end = len(whole) - device
    fine = {end, end - controls, end - controls - 3}  # optional entries follow
    for size in range(len(whole)):
        if size not in fine:
            with pytest.raises(LinkError, match=r"is cut off|without [A-Z]"):
                messages.parse_hello(whole[:size])


def test_texts_end_at_the_first_zero_and_are_printable() -> None:
    board = messages.parse_hello(hello_bytes(board=b" a~\x7f\x1f\xff\0b")).board
    assert board == " a~???"


@pytest.mark.parametrize(
    ("rows_payload", "rows"), [(60, 1), (115, 1), (116, 2), (4 + 28 * 56, 28), (PAYLOAD_MAX, 28)]
)
def test_rows_per_frame_are_whole_rows_and_at_most_an_image(rows_payload: int, rows: int) -> None:
    assert messages.parse_hello(hello_bytes(rows_payload=rows_payload)).rows_per_frame == rows


@pytest.mark.parametrize(
    ("scale", "ticks", "count"), [(65_536, 7, 7), (98_304, 1, 2), (32_768, 3, 2), (32_767, 1, 0)]
)
def test_ticks_are_scaled_and_rounded(scale: int, ticks: int, count: int) -> None:
    assert messages.parse_hello(hello_bytes(scale=scale)).count(ticks) == count


def test_small_payloads_are_read_whole_or_not_at_all() -> None:
    assert messages.parse_image_stats(struct.pack("<III", 1, 2, 3)) == (1, 2, 3)
    assert messages.parse_credit(struct.pack("<IH", 70_000, 9)) == (70_000, 9)
    stats = messages.parse_link_stats(struct.pack("<12I", *range(12)))
    assert stats is not None and list(dataclasses.astuple(stats)) == list(range(12))
    for size in (0, 5, 7, 11, 13, 47, 49):
        assert messages.parse_image_stats(bytes(size)) is None
        assert messages.parse_credit(bytes(size)) is None
        assert messages.parse_link_stats(bytes(size)) is None
    assert messages.rows_payload(3, b"abcdef", 2) == b"\3\0\3\0abcdef"


# What comes instead of a HELLO.

CONTROLS = (Control("first", 9, 0, 5, 1, "entry"), Control("second", 3, 0, 5, 1, "entry"))
EXPECTED = Expected("tiny", 0x12345678, 28, 56, 48, CONTROLS, varies=True)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({}, None, ""),
        ({"protocol": PROTOCOL_VERSION - 1}, WrongFirmwareError, "an earlier semflash"),
        ({"protocol": PROTOCOL_VERSION + 1}, WrongFirmwareError, "a later semflash"),
        ({"bundle": 0x12345679}, WrongFirmwareError, "runs bundle 12345679, wanted 12345678"),
        ({"rows": 27}, LinkError, r"\(27, 56, 48\)"),
        ({"row_bytes": 55}, LinkError, r"\(28, 55, 48\)"),
        ({"payload_bits": 376}, LinkError, r"\(28, 56, 47\)"),
        ({"controls": (3, 9)}, LinkError, r"controls are not those .* \(9, 3\).*got: \(3, 9\)"),
        ({"controls": (), "prefix": 0}, LinkError, r"controls are not those"),
    ],
)
def test_the_device_must_be_what_the_bundle_says(changes: dict[str, int], error: Any, says: str) -> None:
    hello = messages.parse_hello(hello_bytes(**changes))
    if error is None:
        assert check_hello(hello, EXPECTED) is hello
    else:
        with pytest.raises(error, match=says):
            check_hello(hello, EXPECTED)


def frame(kind: int) -> Frame:
    values: dict[str, Any] = {"type": kind, "sequence": 1, "bundle": 2, "request": 3, "payload": b""}
    return Frame(
        **{
            field.name: values.get(field.name, 0)
            for field in dataclasses.fields(Frame)
            if field.name in values or field.default is dataclasses.MISSING
        }
    )


def test_a_watch_says_why_there_was_no_hello() -> None:
    watch = HelloWatch()
    watch.see(None, 0)
    assert isinstance(watch.failure(EXPECTED, 2.0), SilenceError) and "2.0 s" in str(
        watch.failure(EXPECTED, 2.0)
    )
    watch.see(None, 5)
    watch.see(Dropped(Drop.BROKEN_COBS), 7)
    garbage = watch.failure(EXPECTED, 2.0)
    assert isinstance(garbage, GarbageError) and "12 bytes, 1 broken frames" in str(garbage)
    watch.see(frame(FrameType.CREDIT), 20)
    assert "1 frames and 1 broken ones in 2.0 s" in str(watch.failure(EXPECTED, 2.0))
    watch.see(Dropped(Drop.UNKNOWN_VERSION_OR_TYPE, version=PROTOCOL_VERSION), 1)
    assert watch.other_version is None
    watch.see(Dropped(Drop.UNKNOWN_VERSION_OR_TYPE, version=PROTOCOL_VERSION - 1), 1)
    assert watch.other_version == PROTOCOL_VERSION - 1
    assert isinstance(watch.failure(EXPECTED, 2.0), WrongFirmwareError)
    watch.see(frame(FrameType.HELLO_REQUEST), 20)
    echo = watch.failure(EXPECTED, 2.0)
    assert watch.other_version is None, "an echo of ours says nothing about the device"
    assert isinstance(echo, GarbageError) and "1 frames came back" in str(echo)


def test_counters_start_at_nothing_with_every_reason() -> None:
    plain = LinkCounters().as_dict()
    dropped, refused = plain.pop("dropped"), plain.pop("refused")
    assert set(plain.values()) == {0} and refused == {}
    assert dropped == {str(reason): 0 for reason in Drop} and len(Drop) >= 4
    counters = LinkCounters()
    counters.dropped[str(Drop.BROKEN_COBS)] += 2
    counters.dropped[str(Drop.UNKNOWN_VERSION_OR_TYPE)] += 3
    assert counters.frames_dropped == 5 and LinkCounters().frames_dropped == 0


# FAULT: bits of CFSR as in Arm DDI 0403E, B3.2.15.


def crash(**changes: int) -> FaultReport:
    names = [field.name for field in dataclasses.fields(FaultReport)]
    report = parse_fault(struct.pack("<17I", *(changes.get(name, 0) for name in names)))
    assert report is not None
    return report


@pytest.mark.parametrize(
    ("bit", "words"),
    [
        (0, "instruction fetched"),
        (1, "not allowed"),
        (3, "memory fault on return"),
        (4, "memory fault on exception entry"),
        (8, "bus fault on instruction fetch"),
        (9, "bus fault on data"),
        (10, "earlier write"),
        (11, "bus fault on return"),
        (12, "bus fault on exception entry"),
        (16, "undefined instruction"),
        (17, "not Thumb"),
        (18, "wrong address"),
        (19, "FPU is off"),
        (24, "unaligned"),
        (25, "division by zero"),
    ],
)
def test_each_bit_of_cfsr_has_its_words(bit: int, words: str) -> None:
    assert words in crash(cfsr=1 << bit).cause and "," not in crash(cfsr=1 << bit).cause


def test_a_crash_tells_its_kind_its_addresses_and_its_causes() -> None:
    assert crash().cause == "cause unknown" == crash(cfsr=1 << 2).cause
    assert crash(cfsr=1 << 7 | 1 << 1, mmfar=0x10, bfar=0x20).cause.endswith(", address 0x00000010")
    assert crash(cfsr=1 << 15 | 1 << 9, mmfar=0x10, bfar=0x20).cause.endswith(", address 0x00000020")
    text = str(crash(exception=3, pc=0x0800_0123, lr=0x0800_0456, sp=0x2000_1000))
    assert text == "hard fault at pc 0x08000123, lr 0x08000456, sp 0x20001000: cause unknown"
    kinds = {2: "NMI", 3: "hard fault", 4: "memory fault", 5: "bus fault", 6: "usage fault", 7: "exception 7"}
    assert {n: str(crash(exception=n)).partition(" at ")[0] for n in kinds} == kinds
    assert [parse_fault(bytes(size)) for size in (0, 67, 69)] == [None] * 3


# Raw recordings.


def test_a_header_of_a_recording_has_at_most_64_kib(tmp_path: Path) -> None:
    def written(text: str) -> Path:
        with RawRecorder(tmp_path / "r", {"t": text}):
            return tmp_path / "r"

    room = 65_536 - len(json.dumps({"version": 1, "t": ""}))
    with RawReader(written("x" * room)) as reader:
        assert reader.header["t"] == "x" * room and list(reader.records()) == [] and not reader.truncated
    with pytest.raises(ValueError, match="65537 bytes"):
        written("x" * (room + 1))
    data = b" " * 65_530 + b'{"v":1'
    (tmp_path / "r").write_bytes(MAGIC + struct.pack("<I", 65_537) + data + b"}")
    with pytest.raises(UsageError, match="claims 65,537 bytes"):
        RawReader(tmp_path / "r")


@pytest.mark.parametrize(("kind", "length", "fits"), [(2, 65_536, True), (3, 1, False), (2, 65_537, False)])
def test_records_have_known_kinds_and_at_most_64_kib(
    tmp_path: Path, kind: int, length: int, fits: bool
) -> None:
    with RawRecorder(tmp_path / "r", {}):
        pass
    with (tmp_path / "r").open("ab") as file:
        file.write(struct.pack("<BQI", kind, 1_500_000, length) + bytes(length))
    with RawReader(tmp_path / "r") as reader:
        if fits:
            [record] = reader.records()
            assert (record.kind, record.seconds, len(record.data)) == (2, 1.5, length)
        else:
            with pytest.raises(UsageError, match=f"kind {kind} claims"):
                list(reader.records())


def test_long_reads_are_recorded_in_parts_with_one_time(tmp_path: Path) -> None:
    now = [10.0]
    with RawRecorder(tmp_path / "r", {"a": 1}, clock=lambda: now[0]) as recorder:
        now[0] = 10.25
        recorder.add(0, b"x" * 65_537)
        recorder.add(1, b"")
        recorder.note({"k": [1]})
    with RawReader(tmp_path / "r") as reader:
        assert reader.header == {"version": 1, "a": 1}
        records = [(record.kind, record.seconds, len(record.data)) for record in reader.records()]
    assert records == [(0, 0.25, 65_536), (0, 0.25, 1), (2, 0.25, 9)] and not reader.truncated
