"""Payloads of the frames about no image or about its cost, as typed values (docs/wire-format.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from semflash.errors import LinkError
from semflash.link.frame import PAYLOAD_MAX

HELLO_BYTES = 96
ROWS_HEADER = struct.Struct("<HH")
_HELLO = struct.Struct("<BBHHHHHIIIII24s16sI4BQIHH")
_LINK_STATS = struct.Struct("<12I")
_IMAGE_STATS = struct.Struct("<III")
_CREDIT = struct.Struct("<IH")

COUNTER_KINDS = {0: "none", 1: "instructions", 2: "cycles"}
RESET_CAUSES = {0: "unknown", 1: "power-on", 2: "pin", 3: "software", 4: "watchdog", 5: "fault"}
REFUSALS = {
    1: "damaged payload",
    2: "row out of order",
    3: "rows outside the image",
    4: "foreign bundle",
    5: "encoder error",
}
REFUSED_BUNDLE = 4
#: Refusals that a bad line explains; the others say that the device cannot take such images.
REFUSED_FOR_THE_LINE = frozenset({1, 2})
#: Bits of HELLO's capabilities.
CAPABILITIES = {0: "pilots", 1: "time", 2: "faults"}

assert _HELLO.size == HELLO_BYTES


@dataclass(frozen=True)
class Hello:
    """What a device says about itself.

    Attributes:
        counter: "none", "instructions" (emulator) or "cycles"; counter_scale: count = ticks x scale / 65,536.
        window: ROWS frames the device holds unprocessed; rows_payload: most payload bytes of one.
        rows, row_bytes: of one image; payload_bytes: of its CODES.
        bundle: first 32 bits of the bundle hash; build_id: of the firmware.
        engine: for instance "aot/cmsis-nn".
        capabilities: names of CAPABILITIES; version: of the device library, for instance "0.1.0".
        uptime_us: since reset, 0 without the capability "time".
        frames_sent: frames the device sent since reset, before this one.
        pilot_bytes: known bytes in each CODES frame, beside payload_bytes.
    """

    protocol: int
    counter: str
    window: int
    rows_payload: int
    rows: int
    row_bytes: int
    payload_bytes: int
    bundle: int
    build_id: int
    clock_hz: int
    counter_scale: int
    reset_cause: str
    board: str
    engine: str
    capabilities: frozenset[str] = frozenset()
    version: str = ""
    uptime_us: int = 0
    frames_sent: int = 0
    pilot_bytes: int = 0

    @property
    def rows_per_frame(self) -> int:
        """Image rows that fit into one ROWS frame, at least 1."""
        return min((self.rows_payload - ROWS_HEADER.size) // self.row_bytes, self.rows)

    def count(self, ticks: int) -> int:
        """Instructions or cycles for counter ticks."""
        return (ticks * self.counter_scale + 32768) >> 16


@dataclass(frozen=True)
class LinkStats:
    """The device's own counts since reset, in the order of LINK_STATS.

    overruns: bytes. sent: frames before this one. lost, duplicates, reordered: by the host's frame numbers.
    """

    ok: int
    broken_cobs: int
    bad_header_crc: int
    unknown_version_or_type: int
    bad_length: int
    bad_payload_crc: int
    foreign_bundle: int
    overruns: int
    sent: int
    lost: int
    duplicates: int
    reordered: int


def parse_hello(payload: bytes) -> Hello:
    """The payload of HELLO.

    Raises:
        LinkError: it is of the wrong size, or its numbers contradict each other.
    """
    if len(payload) != HELLO_BYTES:
        raise _odd_hello(f"{len(payload)} bytes instead of {HELLO_BYTES}")
    (
        protocol,
        kind,
        window,
        rows_payload,
        rows,
        row_bytes,
        codes,
        bundle,
        build,
        clock,
        scale,
        cause,
        board,
        engine,
        capabilities,
        major,
        minor,
        patch,
        _,
        uptime_us,
        frames_sent,
        pilot_bytes,
        _,
    ) = _HELLO.unpack(payload)
    hello = Hello(
        protocol,
        COUNTER_KINDS.get(kind, f"kind {kind}"),
        window,
        rows_payload,
        rows,
        row_bytes,
        codes,
        bundle,
        build,
        clock,
        scale,
        RESET_CAUSES.get(cause, f"cause {cause}"),
        _text(board),
        _text(engine),
        frozenset(CAPABILITIES.get(bit, f"bit {bit}") for bit in range(32) if capabilities >> bit & 1),
        f"{major}.{minor}.{patch}",
        uptime_us,
        frames_sent,
        pilot_bytes,
    )
    if not (window and rows and row_bytes and codes):
        raise _odd_hello("a size is 0")
    if rows_payload < ROWS_HEADER.size + row_bytes:
        raise _odd_hello(f"a row of {row_bytes} bytes does not fit into ROWS of {rows_payload}")
    if codes + pilot_bytes > PAYLOAD_MAX or rows_payload > PAYLOAD_MAX:
        raise _odd_hello(f"{codes} + {pilot_bytes} bytes up, {rows_payload} down do not fit into frames")
    return hello


def parse_image_stats(payload: bytes) -> tuple[int, int, int] | None:
    """(ticks, stack bytes, microseconds modulo 2^32) of IMAGE_STATS; None where the size is wrong."""
    return _IMAGE_STATS.unpack(payload) if len(payload) == _IMAGE_STATS.size else None


def parse_credit(payload: bytes) -> tuple[int, int] | None:
    """(ROWS frames consumed since HELLO, number of the last one); None where the size is wrong."""
    return _CREDIT.unpack(payload) if len(payload) == _CREDIT.size else None


def parse_link_stats(payload: bytes) -> LinkStats | None:
    """The payload of LINK_STATS; None where the size is wrong."""
    return LinkStats(*_LINK_STATS.unpack(payload)) if len(payload) == _LINK_STATS.size else None


def rows_payload(first: int, rows: bytes, row_bytes: int) -> bytes:
    """The payload of ROWS: image rows first.. as int8 bytes."""
    return ROWS_HEADER.pack(first, len(rows) // row_bytes) + rows


def _text(field: bytes) -> str:
    """ASCII of a zero-padded field; bytes that are no printable ASCII become '?'."""
    text = field.split(b"\0", 1)[0]
    return "".join(chr(b) if 32 <= b < 127 else "?" for b in text)


def _odd_hello(problem: str) -> LinkError:
    return LinkError(
        "the device's HELLO makes no sense",
        value=problem,
        remedy="flash firmware built by this version of semflash",
    )
