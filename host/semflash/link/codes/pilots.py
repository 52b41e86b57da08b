"""Pilots: known bytes among the codes of a CODES frame (docs/wire-format.md; device twin: semflash/pilot.h).

Pilot j of n in a payload of T bytes stands at byte ``j * T // n``. The values come from xorshift32
(Marsaglia, "Xorshift RNGs", 2003), seeded by bundle, frame number and request: they are known bits, by which
the bit error rate is estimated, and they tell whether damaged codes belong to the header before them.

>>> pattern(0x5EED1234, 7, 9, 4).hex()
'0cf26ac5'
>>> merge(b"codes", b"PP")
b'PcoPdes'
>>> split(b"PcoPdes", 2)
(b'codes', b'PP')
"""

from __future__ import annotations

import math
from functools import lru_cache

_GOLDEN = 0x9E3779B1  # 2^32 / golden ratio, odd
_MIX = 0x85EBCA6B  # of MurmurHash3's finaliser
_MASK = 0xFFFF_FFFF
#: The largest bit error rate at which codes are of use; the share of such frames that may count as strange.
BER_MAX = 0.1
FALSE_ALARM = 1e-3


@lru_cache(maxsize=64)
def pattern(bundle: int, sequence: int, request: int, count: int) -> bytes:
    """The pilots of frame `sequence` (u16) about `request` (u32); `bundle`: first 32 bits of the hash."""
    state = ((bundle ^ request) + (sequence + 1) * _GOLDEN) & _MASK
    state = (state ^ state >> 16) * _MIX & _MASK
    state = state ^ state >> 13 or _GOLDEN
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


def difference(received: bytes, bundle: int, sequence: int, request: int) -> bytes:
    """Received pilots XOR what they should be: a set bit is a bit error."""
    expected = pattern(bundle, sequence, request, len(received))
    return (int.from_bytes(received) ^ int.from_bytes(expected)).to_bytes(len(received))


@lru_cache(maxsize=64)
def errors_allowed(bits: int) -> int:
    """Most wrong bits among `bits` pilot bits that a line with bit error rate BER_MAX explains.

    The smallest t with P(more than t wrong) <= FALSE_ALARM for a binomial count at rate BER_MAX. Pilots of
    another frame differ in half of their bits.

    >>> errors_allowed(32), errors_allowed(0)
    (9, 0)
    """
    beyond = 1.0
    for wrong in range(bits + 1):
        ways = math.lgamma(bits + 1) - math.lgamma(wrong + 1) - math.lgamma(bits - wrong + 1)
        beyond -= math.exp(ways + wrong * math.log(BER_MAX) + (bits - wrong) * math.log1p(-BER_MAX))
        if beyond <= FALSE_ALARM:
            return wrong
    return bits
