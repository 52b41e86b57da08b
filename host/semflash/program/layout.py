"""How codes lie in the payload: regions one behind the other, each with its size rule and its protection.

Bits are written most significant first. A region's bits are protected as a whole, and the last byte of the
payload is filled with zero bits. Everything that the receiver needs stands in the payload: counts and maps
are regions, too, and must come before the regions whose size they tell.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from semflash.fields import Name
from semflash.program.tensors import LEVELS_MAX

Protection = Literal["none", "repeat-3", "hamming-7-4"]


class Every(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="every"):
    """All items of the source are sent."""


class CountOf(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="count"):
    """The first rows of the source are sent, as many as the tensor ``count`` (of one code) says."""

    count: Name


class OnesOf(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ones"):
    """The rows of the source are sent whose entry in ``mask`` is at least ``at_least``.

    The mask has one code for each row. A map of levels serves several regions, each with another
    ``at_least``.
    """

    mask: Name
    at_least: Annotated[int, Meta(ge=1, lt=LEVELS_MAX)] = 1


class Rest(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rest"):
    """The first items of the source are sent, as many as fit while the payload holds ``limit`` bytes.

    ``limit`` is a control. Only regions of the same rule and limit may follow, so that the receiver finds the
    number of items from the payload's length alone.
    """

    limit: Name


Items = Every | CountOf | OnesOf | Rest


class Region(Struct, frozen=True, forbid_unknown_fields=True):
    """A run of items of one tensor in the payload.

    Attributes:
        source: The tensor: codes, or int8 values, which take 8 bits in two's complement.
        bits: Bits of an item, 1 to 8.
        items: Which items of it are sent.
        protection: ``repeat-3`` sends the region's bits three times, one copy behind the other.
            ``hamming-7-4`` sends each four bits as a word of seven and fills the last four with zeros.
    """

    source: Name
    bits: Annotated[int, Meta(ge=1, le=8)]
    items: Items = Every()
    protection: Protection = "none"


class Layout(Struct, frozen=True, forbid_unknown_fields=True):
    """The regions of the payload, in the order of sending."""

    regions: Annotated[tuple[Region, ...], Meta(min_length=1, max_length=32)]


def protected_bits(bits: int, protection: Protection) -> int:
    """The bits that a region takes in the payload when its items have this many.

    >>> [protected_bits(5, kind) for kind in ("none", "repeat-3", "hamming-7-4")]
    [5, 15, 14]
    """
    if protection == "repeat-3":
        return 3 * bits
    return 7 * -(-bits // 4) if protection == "hamming-7-4" else bits
