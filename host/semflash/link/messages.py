"""Payloads of the frames about no image or about its cost, as typed values (docs/wire-format.md).

HELLO is in :mod:`semflash.link.hello`, CONTROL in :mod:`semflash.link.controls`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from semflash.link.hello import ROWS_HEADER, Hello, parse_hello
from semflash.link.wire import CREDIT_FORMAT, IMAGE_STATS_FORMAT, REFUSALS, REFUSED_FOR_THE_LINE, Refusal
from semflash.link.wire import LINK_STATS as _LINK_STATS_NAMES

__all__ = [
    "REFUSALS",
    "REFUSED_BUNDLE",
    "REFUSED_FOR_THE_LINE",
    "ROWS_HEADER",
    "Hello",
    "LinkStats",
    "parse_credit",
    "parse_hello",
    "parse_image_stats",
    "parse_link_stats",
    "rows_payload",
]

REFUSED_BUNDLE = int(Refusal.BUNDLE)
_LINK_STATS = struct.Struct(f"<{len(_LINK_STATS_NAMES)}I")
_IMAGE_STATS = struct.Struct(IMAGE_STATS_FORMAT)
_CREDIT = struct.Struct(CREDIT_FORMAT)


@dataclass(frozen=True)
class LinkStats:
    """The device's own counts since reset.

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


def parse_image_stats(payload: bytes) -> tuple[int, int, int] | None:
    """(ticks, stack bytes, microseconds modulo 2^32) of IMAGE_STATS; None where the size is wrong."""
    return _IMAGE_STATS.unpack(payload) if len(payload) == _IMAGE_STATS.size else None


def parse_credit(payload: bytes) -> tuple[int, int] | None:
    """(ROWS and CONTROL frames consumed since HELLO, number of the last one).

    None where the size is wrong.
    """
    return _CREDIT.unpack(payload) if len(payload) == _CREDIT.size else None


def parse_link_stats(payload: bytes) -> LinkStats | None:
    """The payload of LINK_STATS; None where the size is wrong."""
    if len(payload) != _LINK_STATS.size:
        return None
    return LinkStats(**dict(zip(_LINK_STATS_NAMES, _LINK_STATS.unpack(payload), strict=True)))


def rows_payload(first: int, rows: bytes, row_bytes: int) -> bytes:
    """The payload of ROWS: image rows first.. as int8 bytes."""
    return ROWS_HEADER.pack(first, len(rows) // row_bytes) + rows
