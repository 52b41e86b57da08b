"""How codes lie in the payload: regions one behind the other, each with its size rule and its protection.

Bits are written most significant first. A region's bits are protected as a whole, and the last byte of the
payload is filled with zero bits. Everything that the receiver needs stands in the payload: counts and maps
are regions, too, and must come before the regions whose size they tell.

A payload whose map of levels must never be misread begins with a head: the map as nested subsets, small
tensors and a check over both.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from semflash.fields import Name
from semflash.program.patch_stages import PATCH_LEVELS_MAX
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


class Exactly(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="exactly"):
    """The rows of the source are sent whose entry in ``map`` is ``level``; the map is that of the head."""

    map: Name
    level: Annotated[int, Meta(ge=1, lt=PATCH_LEVELS_MAX)]


Items = Every | CountOf | OnesOf | Rest | Exactly


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


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """What comes before all regions and is trusted as a whole or not at all.

    Its bits: how many entries of the map are at least 1, at least 2, ...; for each of these subsets of the
    one before its rank in the combinatorial number system, in as many bits as the number of subsets of that
    size needs; all items of the small tensors; a CRC-16 over all this. Where the check, a count, a rank or
    the payload's length is wrong, the receiver takes the image for lost.

    Attributes:
        map: The tensor of codes with a level for each of at most 64 places.
        also: Tensors of codes, all of whose items are sent.
        protect: A control of 0 and 1. The head then begins with its value, five times, and with 1 the rest of
            it is sent as words of Golay(24, 12), the last filled with zeros. None: it is sent as it is.
    """

    map: Name
    also: Annotated[tuple[Name, ...], Meta(max_length=4)] = ()
    protect: Name | None = None


class Layout(Struct, frozen=True, forbid_unknown_fields=True):
    """The payload in the order of sending.

    Attributes:
        regions: One behind the other.
        head: What comes before them, if anything does.
    """

    regions: Annotated[tuple[Region, ...], Meta(min_length=1, max_length=32)]
    head: Head | UnsetType = UNSET

    @property
    def is_fixed(self) -> bool:
        """Whether every payload is made alike."""
        return isinstance(self.head, UnsetType) and all(isinstance(r.items, Every) for r in self.regions)

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors that are sent, in the order of sending."""
        head = () if isinstance(self.head, UnsetType) else (self.head.map, *self.head.also)
        return (*head, *(region.source for region in self.regions))


def protected_bits(bits: int, protection: Protection) -> int:
    """The bits that a region takes in the payload when its items have this many.

    >>> [protected_bits(5, kind) for kind in ("none", "repeat-3", "hamming-7-4")]
    [5, 15, 14]
    """
    if protection == "repeat-3":
        return 3 * bits
    return 7 * -(-bits // 4) if protection == "hamming-7-4" else bits
