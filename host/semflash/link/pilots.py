"""Pilots: known bytes among the codes of a CODES frame (docs/wire-format.md; device twin: semflash/pilot.h).

Pilot j of n in a payload of T bytes stands at byte ``j * T // n``. The values come from xorshift32
(Marsaglia, "Xorshift RNGs", 2003), seeded by bundle and frame number.

>>> pattern(0x5EED1234, 7, 4).hex()
'e02b824c'
>>> merge(b"codes", b"PP")
b'PcoPdes'
>>> split(b"PcoPdes", 2)
(b'codes', b'PP')
"""

from __future__ import annotations

from functools import lru_cache

_GOLDEN = 0x9E3779B1  # 2^32 / golden ratio, odd
_MASK = 0xFFFF_FFFF


def pattern(bundle: int, sequence: int, count: int) -> bytes:
    """The pilots of frame `sequence` (u16) of a device with bundle hash `bundle` (u32)."""
    state = (bundle ^ (sequence + 1) * _GOLDEN) & _MASK or _GOLDEN
    values = bytearray()
    for _ in range(count):
        state ^= state << 13 & _MASK
        state ^= state >> 17
        state ^= state << 5 & _MASK
        values.append(state >> 24)
    return bytes(values)


@lru_cache(maxsize=64)
def positions(count: int, total: int) -> tuple[int, ...]:
    """Where `count` pilots stand in a payload of `total` bytes, ascending; count <= total."""
    return tuple(j * total // count for j in range(count))


def split(payload: bytes, count: int) -> tuple[bytes, bytes]:
    """(codes, pilots) of a received payload that holds `count` pilots."""
    if count == 0:
        return payload, b""
    codes = bytearray(payload)
    places = positions(count, len(payload))
    for place in reversed(places):
        del codes[place]
    return bytes(codes), bytes(payload[place] for place in places)


def merge(codes: bytes, pilots: bytes) -> bytes:
    """The payload that a device sends."""
    payload = bytearray(codes)
    if pilots:
        for value, place in zip(pilots, positions(len(pilots), len(codes) + len(pilots)), strict=True):
            payload.insert(place, value)
    return bytes(payload)


def difference(received: bytes, bundle: int, sequence: int) -> bytes:
    """Received pilots XOR what they should be: a set bit is a bit error."""
    expected = pattern(bundle, sequence, len(received))
    return bytes(a ^ b for a, b in zip(received, expected, strict=True))
