"""Frames of the link, protocol version 3: pure bytes, no port, no time.

The specification is ``docs/wire-format.md``, its constants are in ``wire.py``; the device's twin is
``device/include/semflash/frame.h``, and ``tests/vectors/frames.json`` holds cases for both. Integers are
little-endian::

    COBS( version type sequence bundle request length header-CRC16 | payload | CRC32 ) 0x00

The CRC-32 covers header and payload, so a payload is whole only behind its own header.
"""

from __future__ import annotations

import binascii
import enum
import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from semflash.link.wire import (
    EARLIER_VERSIONS,
    HEADER_BYTES,
    HEADER_FORMAT,
    PAYLOAD_MAX,
    PROTOCOL_VERSION,
    TRAILER_BYTES,
    FrameType,
)

__all__ = [
    "EARLIER_VERSIONS",
    "FRAME_MAX",
    "PAYLOAD_MAX",
    "PROTOCOL_VERSION",
    "WIRE_MAX",
    "Drop",
    "Dropped",
    "Event",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "crc16",
    "encode_frame",
    "header_of",
]

FRAME_MAX = HEADER_BYTES + PAYLOAD_MAX + TRAILER_BYTES
#: Longest COBS form of the largest frame, without its delimiter.
WIRE_MAX = FRAME_MAX + FRAME_MAX // 254 + 1

_HEADER = struct.Struct(HEADER_FORMAT)

_TYPES = frozenset(int(kind) for kind in FrameType)
#: Versions whose CRC-32 covered the payload alone; their headers are the same.
_PAYLOAD_ONLY = EARLIER_VERSIONS


class Drop(enum.StrEnum):
    """Why a frame was dropped, in the order of the checks; the values are counter names on both sides."""

    BROKEN_COBS = "broken_cobs"
    BAD_HEADER_CRC = "bad_header_crc"
    UNKNOWN_VERSION_OR_TYPE = "unknown_version_or_type"
    BAD_LENGTH = "bad_length"


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        type: FrameType.
        payload: 0..4,096 bytes.
        sequence: u16, counts the sender's frames.
        bundle: first 32 bits of the bundle hash.
        request: u32, whose answer this is; 0 in frames about no image.
        damaged: the CRC-32 was wrong on reception: of the header, the CRC-16 alone is right, and only codes
            are of use (:mod:`semflash.link.codes.custody`).
    """

    type: FrameType
    payload: bytes = b""
    sequence: int = 0
    bundle: int = 0
    request: int = 0
    damaged: bool = False


@dataclass(frozen=True)
class Dropped:
    """A frame that was not delivered. version: what its header said, where the header was whole."""

    reason: Drop
    version: int | None = None


Event = Frame | Dropped


def encode_frame(frame: Frame, *, version: int = PROTOCOL_VERSION) -> bytes:
    """The frame on the line: COBS form and delimiter. `damaged` is ignored.

    version: another one only to find out whether a device speaks it.

    Raises:
        ValueError: the payload is longer than 4,096 bytes, or a field does not fit (a bug of the caller).
    """
    if len(frame.payload) > PAYLOAD_MAX:
        raise ValueError(f"a payload holds at most {PAYLOAD_MAX} bytes, not {len(frame.payload)}")
    try:
        header = _HEADER.pack(
            version, frame.type, frame.sequence, frame.bundle, frame.request, len(frame.payload)
        )
    except struct.error as error:
        raise ValueError(f"a field of {frame!r} is out of range: {error}") from error
    header += struct.pack("<H", crc16(header))
    covered = frame.payload if version in _PAYLOAD_ONLY else header + frame.payload
    return bytes(cobs.encode(header + frame.payload + struct.pack("<I", zlib.crc32(covered)))) + b"\0"


def header_of(frame: Frame) -> bytes:
    """The header of a received frame without its CRC-16, 14 bytes."""
    return _HEADER.pack(
        PROTOCOL_VERSION, frame.type, frame.sequence, frame.bundle, frame.request, len(frame.payload)
    )


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE.

    >>> hex(crc16(b"123456789"))
    '0x29b1'
    """
    return binascii.crc_hqx(data, 0xFFFF)


class FrameDecoder:
    """Bytes in any splits -> frames, in bounded memory (WIRE_MAX bytes) whatever the bytes are.

    Every frame that is not empty gives exactly one event: a Frame, or Dropped with the first check it failed.
    """

    def __init__(self) -> None:
        self._start = bytearray()  # the first WIRE_MAX bytes of the frame being received
        self._length = 0  # all its bytes
        self._next_code = 0  # of a frame too long to keep: where its next COBS code byte lies

    def feed(self, data: bytes) -> list[Event]:
        """Take received bytes; the events of the frames that ended in them, in order."""
        events: list[Event] = []
        begin = 0
        while (end := data.find(b"\0", begin)) >= 0:
            self._take(data[begin:end])
            begin = end + 1
            if self._length:
                events.append(self._finish())
        self._take(data[begin:])
        return events

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that has not ended yet."""
        return self._length

    def _take(self, piece: bytes) -> None:
        """Append bytes without a delimiter."""
        if self._length + len(piece) > WIRE_MAX:
            if self._length <= WIRE_MAX:
                self._follow(self._start, 0)
            self._follow(piece, self._length)
        room = WIRE_MAX - len(self._start)
        if room > 0:
            self._start += piece[:room]
        self._length += len(piece)

    def _follow(self, piece: bytes | bytearray, begin: int) -> None:
        """Follow the chain of COBS code bytes through a frame too long to keep; `piece` begins at `begin`.

        The form is whole if the chain ends where the frame ends.
        """
        while self._next_code < begin + len(piece):
            self._next_code += piece[self._next_code - begin]

    def _finish(self) -> Event:
        start, length, next_code = bytes(self._start), self._length, self._next_code
        self._start.clear()
        self._length = self._next_code = 0
        if length > WIRE_MAX:
            if next_code != length:
                return Dropped(Drop.BROKEN_COBS)
            return _parse(_cobs_prefix(start, HEADER_BYTES), too_long=True)
        try:
            raw = bytes(cobs.decode(start))
        except cobs.DecodeError:
            return Dropped(Drop.BROKEN_COBS)
        return _parse(raw, too_long=False)


def _parse(raw: bytes, *, too_long: bool) -> Event:
    """A decoded frame, or its first HEADER_BYTES when it was too long to keep."""
    if not too_long and len(raw) < HEADER_BYTES + TRAILER_BYTES:
        return Dropped(Drop.BAD_LENGTH)
    version, kind, sequence, bundle, request, length = _HEADER.unpack_from(raw)
    if crc16(raw[: HEADER_BYTES - 2]) != int.from_bytes(raw[HEADER_BYTES - 2 : HEADER_BYTES], "little"):
        return Dropped(Drop.BAD_HEADER_CRC)
    if version != PROTOCOL_VERSION or kind not in _TYPES:
        return Dropped(Drop.UNKNOWN_VERSION_OR_TYPE, version)
    if too_long or length > PAYLOAD_MAX or len(raw) != HEADER_BYTES + length + TRAILER_BYTES:
        return Dropped(Drop.BAD_LENGTH, version)
    payload = raw[HEADER_BYTES : HEADER_BYTES + length]
    damaged = zlib.crc32(raw[:-TRAILER_BYTES]) != int.from_bytes(raw[-TRAILER_BYTES:], "little")
    return Frame(FrameType(kind), payload, sequence, bundle, request, damaged)


def _cobs_prefix(encoded: bytes, count: int) -> bytes:
    """The first `count` decoded bytes of a COBS form that goes on after `encoded`."""
    decoded = bytearray()
    position = 0
    while len(decoded) < count and position < len(encoded):
        code = encoded[position]
        decoded += encoded[position + 1 : position + code]
        if code < 0xFF:
            decoded.append(0)
        position += code
    return bytes(decoded[:count])
