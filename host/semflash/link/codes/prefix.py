"""The prefix of CODES_PART: which controls were used, and which part of the payload this is.

It is strictly protected: its CRC-16 covers the frame's header as well, so neither a damaged prefix nor that
of another frame is believed (docs/wire-format.md; device twin: device/src/codes.c).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from semflash.link.frame import Frame, crc16, header_of
from semflash.link.wire import PREFIX_HEAD, PREFIX_LAST, PREFIX_STREAMED

_HEAD = struct.Struct(PREFIX_HEAD)


@dataclass(frozen=True)
class Prefix:
    """What the prefix says.

    Attributes:
        last: the payload ends with this fragment; streamed: rows could still come in when it left.
        offset: bytes of the payload before it.
        bits: of the whole payload; 0: not known yet.
        values: of the controls, in the program's order.
    """

    last: bool
    streamed: bool
    offset: int
    bits: int
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """A fragment of a payload.

    Attributes:
        prefix: what stands before it. codes: with the pilots between them.
    """

    prefix: Prefix
    codes: bytes


def read_prefix(frame: Frame, controls: int) -> Part | None:
    """The prefix of a CODES_PART frame and what stands behind it; None: it is damaged, or of another frame.

    Args:
        controls: how many values it must have.
    """
    size = _HEAD.size + 2 * controls
    front, crc, rest = frame.payload[:size], frame.payload[size : size + 2], frame.payload[size + 2 :]
    if len(crc) < 2 or crc16(header_of(frame) + front) != int.from_bytes(crc, "little"):
        return None
    flags, count, offset, bits = _HEAD.unpack_from(front)
    if count != controls:
        return None
    values = struct.unpack(f"<{controls}H", front[_HEAD.size :])
    return Part(Prefix(bool(flags & PREFIX_LAST), bool(flags & PREFIX_STREAMED), offset, bits, values), rest)
