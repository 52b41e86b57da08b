"""HELLO: what a device says about itself, as entries of tag, length and value (docs/wire-format.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from semflash.errors import LinkError
from semflash.link.codes.fragments import FRAGMENTS_MAX
from semflash.link.wire import (
    CAPABILITIES,
    COUNTER_KINDS,
    HELLO_FORMATS,
    HELLO_MOST_BYTES,
    HELLO_REQUIRED,
    PAYLOAD_MAX,
    PREFIX_FORMAT,
    PREFIX_HEAD,
    RESET_CAUSES,
    ROWS_FORMAT,
    HelloTag,
)

ROWS_HEADER = struct.Struct(ROWS_FORMAT)
_PREFIX_HEAD = struct.calcsize(PREFIX_HEAD)
_CRC_BYTES = 2
_TEXTS = (HelloTag.BOARD, HelloTag.ENGINE)

Entries = Mapping[HelloTag, bytes]


@dataclass(frozen=True)
class Hello:
    """What a device says about itself.

    Attributes:
        counter: "none", "instructions" (emulator) or "cycles"; counter_scale: count = ticks x scale / 65,536.
        window: ROWS and CONTROL frames the device holds unprocessed; rows_payload: most payload bytes of one.
        rows, row_bytes: of one image; payload_bits: of the longest payload of an image.
        bundle: first 32 bits of the bundle hash; build_id: of the firmware.
        engine: for instance "aot/cmsis-nn".
        capabilities: names of CAPABILITIES; version: of the device library, for instance "0.1.0".
        uptime_us: since reset, 0 without the capability "time".
        frames_sent: frames the device sent since reset, before this one.
        pilot_bytes: known bytes in each frame of codes, beside the codes.
        fragment_bytes: most bytes of codes in one frame.
        prefix: format of the prefix that all codes carry; 0: codes come in CODES frames without one.
        controls: ids of the program's controls, in its order.
        device_id: identity of the device, hex; "": it has none.
    """

    protocol: int
    counter: str
    window: int
    rows_payload: int
    rows: int
    row_bytes: int
    payload_bits: int
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
    fragment_bytes: int = PAYLOAD_MAX
    prefix: int = 0
    controls: tuple[int, ...] = ()
    device_id: str = ""

    @property
    def payload_bytes(self) -> int:
        """Of the longest payload of an image."""
        return -(-self.payload_bits // 8)

    @property
    def prefix_bytes(self) -> int:
        """Of a CODES_PART frame."""
        return _PREFIX_HEAD + 2 * len(self.controls) + _CRC_BYTES

    @property
    def rows_per_frame(self) -> int:
        """Image rows that fit into one ROWS frame, at least 1."""
        return min((self.rows_payload - ROWS_HEADER.size) // self.row_bytes, self.rows)

    def count(self, ticks: int) -> int:
        """Instructions or cycles for counter ticks."""
        return (ticks * self.counter_scale + 32768) >> 16


def parse_hello(payload: bytes) -> Hello:
    """The payload of HELLO.

    Raises:
        LinkError: an entry is there twice, cut off, of the wrong length or missing, or numbers contradict
            each other.
    """
    entries = read_entries(payload)
    missing = [tag.name for tag in HELLO_REQUIRED if tag not in entries]
    if missing:
        raise _odd_hello(f"without {', '.join(missing)}")
    return _checked(_hello(entries))


def read_entries(payload: bytes) -> dict[HelloTag, bytes]:
    """The values of the entries whose tags are known.

    Raises:
        LinkError: an entry is there twice, cut off or of the wrong length.
    """
    entries: dict[int, bytes] = {}
    at = 0
    while at < len(payload):
        tag, length = payload[at], payload[at + 1] if at + 1 < len(payload) else 0
        value = payload[at + 2 : at + 2 + length]
        if at + 2 + length > len(payload):
            raise _odd_hello(f"entry {_name(tag)} is cut off")
        if tag in entries:
            raise _odd_hello(f"entry {_name(tag)} twice")
        entries[tag] = value
        at += 2 + length
    known = {HelloTag(tag): value for tag, value in entries.items() if tag in set(HelloTag)}
    for tag, value in known.items():
        if tag in HELLO_FORMATS:
            least = most = struct.calcsize(HELLO_FORMATS[tag])
        else:
            least, most = int(tag not in _TEXTS), HELLO_MOST_BYTES[tag]
        if not least <= len(value) <= most:
            raise _odd_hello(f"entry {tag.name} of {len(value)} bytes")
    return known


def _hello(entries: Entries) -> Hello:
    def numbers(tag: HelloTag) -> tuple[int, ...]:
        return struct.unpack(HELLO_FORMATS[tag], entries[tag])

    kind, scale = numbers(HelloTag.COUNTER)
    rows, row_bytes = numbers(HelloTag.IMAGE)
    (cause,) = numbers(HelloTag.RESET)
    (capabilities,) = numbers(HelloTag.CAPABILITIES)
    return Hello(
        protocol=numbers(HelloTag.PROTOCOL)[0],
        counter=COUNTER_KINDS.get(kind, f"kind {kind}"),
        window=numbers(HelloTag.WINDOW)[0],
        rows_payload=numbers(HelloTag.ROWS_PAYLOAD)[0],
        rows=rows,
        row_bytes=row_bytes,
        payload_bits=numbers(HelloTag.PAYLOAD)[0],
        bundle=numbers(HelloTag.BUNDLE)[0],
        build_id=numbers(HelloTag.BUILD)[0],
        clock_hz=numbers(HelloTag.CLOCK)[0],
        counter_scale=scale,
        reset_cause=RESET_CAUSES.get(cause, f"cause {cause}"),
        board=_text(entries[HelloTag.BOARD]),
        engine=_text(entries[HelloTag.ENGINE]),
        capabilities=frozenset(
            CAPABILITIES.get(bit, f"bit {bit}") for bit in range(32) if capabilities >> bit & 1
        ),
        version=".".join(map(str, numbers(HelloTag.LIBRARY))),
        uptime_us=numbers(HelloTag.UPTIME)[0],
        frames_sent=numbers(HelloTag.SENT)[0],
        pilot_bytes=numbers(HelloTag.PILOTS)[0],
        fragment_bytes=numbers(HelloTag.FRAGMENT)[0],
        prefix=numbers(HelloTag.PREFIX)[0] if HelloTag.PREFIX in entries else 0,
        controls=tuple(entries.get(HelloTag.CONTROLS, b"")),
        device_id=entries.get(HelloTag.DEVICE, b"").hex(),
    )


def _checked(hello: Hello) -> Hello:
    """The HELLO itself.

    Raises:
        LinkError: its numbers contradict each other.
    """
    if not (hello.window and hello.rows and hello.row_bytes and hello.payload_bits and hello.fragment_bytes):
        raise _odd_hello("a size is 0")
    if hello.rows_payload < ROWS_HEADER.size + hello.row_bytes:
        raise _odd_hello(f"a row of {hello.row_bytes} bytes does not fit into ROWS of {hello.rows_payload}")
    if hello.prefix not in (0, PREFIX_FORMAT):
        raise _odd_hello(f"prefix format {hello.prefix}, known is {PREFIX_FORMAT}")
    if hello.rows_payload > PAYLOAD_MAX:
        raise _odd_hello(f"{hello.rows_payload} bytes of rows do not fit into a frame")
    if hello.prefix_bytes + hello.fragment_bytes + hello.pilot_bytes > PAYLOAD_MAX:
        raise _odd_hello(f"{hello.fragment_bytes} + {hello.pilot_bytes} bytes up do not fit into a frame")
    fragments = -(-hello.payload_bytes // hello.fragment_bytes)
    if fragments > FRAGMENTS_MAX:
        raise _odd_hello(f"a payload comes in {fragments:,} fragments, at most {FRAGMENTS_MAX:,} are kept")
    if not hello.prefix and (hello.controls or hello.payload_bytes > hello.fragment_bytes):
        raise _odd_hello("controls, or more codes than a frame holds, without a prefix")
    if len(set(hello.controls)) != len(hello.controls) or 0 in hello.controls:
        raise _odd_hello("a control twice, or one with id 0")
    return hello


def _name(tag: int) -> str:
    return HelloTag(tag).name if tag in set(HelloTag) else str(tag)


def _text(field: bytes) -> str:
    """ASCII; bytes that are no printable ASCII become '?'."""
    text = field.split(b"\0", 1)[0]
    return "".join(chr(b) if 32 <= b < 127 else "?" for b in text)


def _odd_hello(problem: str) -> LinkError:
    return LinkError(
        "the device's HELLO makes no sense",
        value=problem,
        remedy="flash firmware built by this version of semflash",
    )
