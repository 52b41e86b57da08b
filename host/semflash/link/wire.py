"""Constants of the wire format.

Written by protocol/generate.py from protocol/wire.toml; not to be edited.
"""

from __future__ import annotations

import enum

PROTOCOL_VERSION = 3
#: Versions whose devices are asked as well, so that they can be refused by name.
EARLIER_VERSIONS = (1, 2)
PAYLOAD_MAX = 4_096
HEADER_BYTES = 16
TRAILER_BYTES = 4
#: For struct: the header without its CRC-16.
HEADER_FORMAT = "<BBHIIH"
#: Bit of the type of frames that come from the device.
FROM_DEVICE = 0x80


class FrameType(enum.IntEnum):
    """Types of docs/wire-format.md; 0x8x come from the device."""

    HELLO_REQUEST = 0x01
    ROWS = 0x02
    STATS_REQUEST = 0x03
    CONTROL = 0x04
    CAPTURE = 0x05
    HELLO = 0x81
    CODES = 0x82
    IMAGE_STATS = 0x83
    CREDIT = 0x84
    REFUSED = 0x85
    LINK_STATS = 0x86
    FAULT = 0x87
    CODES_PART = 0x88
    SOURCE_ROWS = 0x89


class Refusal(enum.IntEnum):
    """Reasons of REFUSED."""

    DAMAGED = 1
    ORDER = 2
    RANGE = 3
    BUNDLE = 4
    ENCODER = 5
    CONTROL_RANGE = 6
    CONTROL_UNKNOWN = 7
    SOURCE = 8


REFUSALS = {
    1: "damaged payload",
    2: "row out of order",
    3: "rows outside the image",
    4: "foreign bundle",
    5: "encoder error",
    6: "control out of its range",
    7: "no such control, or a CONTROL frame that makes no sense",
    8: "the board's own source gave no picture",
}
#: Refusals that a bad line explains; the others say that the device cannot take such images.
REFUSED_FOR_THE_LINE = frozenset({1, 2})
COUNTER_KINDS = {
    0: "none",
    1: "instructions",
    2: "cycles",
}
RESET_CAUSES = {
    0: "unknown",
    1: "power-on",
    2: "pin",
    3: "software",
    4: "watchdog",
    5: "fault",
}
#: Bits of HELLO's capabilities.
CAPABILITIES = {
    0: "pilots",
    1: "time",
    2: "faults",
    3: "stream",
    4: "capture",
}


class HelloTag(enum.IntEnum):
    """Entries of HELLO: u8 tag, u8 length, value."""

    PROTOCOL = 1
    COUNTER = 2
    WINDOW = 3
    ROWS_PAYLOAD = 4
    IMAGE = 5
    PAYLOAD = 6
    BUNDLE = 7
    BUILD = 8
    CLOCK = 9
    RESET = 10
    BOARD = 11
    ENGINE = 12
    CAPABILITIES = 13
    LIBRARY = 14
    UPTIME = 15
    SENT = 16
    PILOTS = 17
    FRAGMENT = 18
    PREFIX = 19
    CONTROLS = 20
    DEVICE = 21


#: For struct: the values of HELLO's entries that have one length.
HELLO_FORMATS = {
    HelloTag.PROTOCOL: "<B",
    HelloTag.COUNTER: "<BI",
    HelloTag.WINDOW: "<H",
    HelloTag.ROWS_PAYLOAD: "<H",
    HelloTag.IMAGE: "<HH",
    HelloTag.PAYLOAD: "<I",
    HelloTag.BUNDLE: "<I",
    HelloTag.BUILD: "<I",
    HelloTag.CLOCK: "<I",
    HelloTag.RESET: "<B",
    HelloTag.CAPABILITIES: "<I",
    HelloTag.LIBRARY: "<BBB",
    HelloTag.UPTIME: "<Q",
    HelloTag.SENT: "<I",
    HelloTag.PILOTS: "<H",
    HelloTag.FRAGMENT: "<H",
    HelloTag.PREFIX: "<B",
}
#: The most bytes of the others.
HELLO_MOST_BYTES = {
    HelloTag.BOARD: 24,
    HelloTag.ENGINE: 16,
    HelloTag.CONTROLS: 255,
    HelloTag.DEVICE: 16,
}
#: Entries that no HELLO may lack.
HELLO_REQUIRED = (
    HelloTag.PROTOCOL,
    HelloTag.COUNTER,
    HelloTag.WINDOW,
    HelloTag.ROWS_PAYLOAD,
    HelloTag.IMAGE,
    HelloTag.PAYLOAD,
    HelloTag.BUNDLE,
    HelloTag.BUILD,
    HelloTag.CLOCK,
    HelloTag.RESET,
    HelloTag.BOARD,
    HelloTag.ENGINE,
    HelloTag.CAPABILITIES,
    HelloTag.LIBRARY,
    HelloTag.UPTIME,
    HelloTag.SENT,
    HelloTag.PILOTS,
    HelloTag.FRAGMENT,
)

#: For struct: payloads of fixed size; ROWS begins with its fields.
ROWS_FORMAT = "<HH"
IMAGE_STATS_FORMAT = "<III"
CREDIT_FORMAT = "<IH"

#: The u32 of LINK_STATS, in order.
LINK_STATS = (
    "ok",
    "broken_cobs",
    "bad_header_crc",
    "unknown_version_or_type",
    "bad_length",
    "bad_payload_crc",
    "foreign_bundle",
    "overruns",
    "sent",
    "lost",
    "duplicates",
    "reordered",
)

#: Id of the link's own control; those of a program are 1..255.
CONTROL_STREAM = 0

PREFIX_FORMAT = 1
PREFIX_LAST = 0x01
PREFIX_STREAMED = 0x02
#: For struct: the prefix of CODES_PART before the controls' values and the CRC-16.
PREFIX_HEAD = "<BBHI"
