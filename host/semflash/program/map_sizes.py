"""What a payload takes by the counts of its map of levels: the one place that computes it.

Of n places, ``counts[0]`` have at least level 1, ``counts[1]`` at least level 2, and so on. Their subsets are
sent as ranks, so the map's size depends on nothing but the counts, and so does the whole payload's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ProgramError
from semflash.program.held import code_bits, codes_held, head_of
from semflash.program.layout import Every, Exactly, Layout, protected_bits
from semflash.program.patch_stages import PATCHES_MAX
from semflash.program.tensors import Tensor

CHECK_BITS = 16
#: How often the value of the control that protects the head is sent.
FLAG_COPIES = 5
GOLAY_DATA, GOLAY_WORD = 12, 24
#: Bits of the rank of k of n places, uint8 (65, 65): ceil(log2(n over k)); 0 where k > n.
RANK_BITS: NDArray[np.uint8] = np.array(
    [
        [(comb(n, k) - 1).bit_length() if k <= n else 0 for k in range(PATCHES_MAX + 1)]
        for n in range(PATCHES_MAX + 1)
    ],
    np.uint8,
)


@dataclass(frozen=True)
class MapSizes:
    """Sizes of the payloads of one layout, in bits.

    Attributes:
        places: Of the map.
        also: Of the head's small tensors.
        protectable: Whether a control protects the head.
        fixed: Of the regions that are sent whole.
        levels: Of a place at each level, 0 for level 0.
    """

    places: int
    also: int
    protectable: bool
    fixed: int
    levels: tuple[int, ...]

    @property
    def count_bits(self) -> int:
        """Of each count."""
        return self.places.bit_length()

    def plain(self, counts: NDArray[np.integer]) -> NDArray[np.int64]:
        """Bits of the head before its protection, int64 (...), for counts (..., levels - 1), falling."""
        before = np.concatenate([np.full((*counts.shape[:-1], 1), self.places), counts[..., :-1]], axis=-1)
        ranks = RANK_BITS[before, counts].sum(axis=-1, dtype=np.int64)
        return ranks + counts.shape[-1] * self.count_bits + self.also + CHECK_BITS

    def head(self, counts: NDArray[np.integer], protect: NDArray[np.bool_] | bool) -> NDArray[np.int64]:
        """Bits of the head as it is sent, int64 (...).

        Args:
            counts: (..., levels - 1), falling.
            protect: Whether the head is protected, (...) or one for all.
        """
        plain = self.plain(counts)
        flag = FLAG_COPIES if self.protectable else 0
        return flag + np.where(protect, GOLAY_WORD * -(-plain // GOLAY_DATA), plain)

    def body(self, counts: NDArray[np.integer]) -> NDArray[np.int64]:
        """Bits of everything behind the head, int64 (...)."""
        steps = np.array([b - a for a, b in pairwise(self.levels)], np.int64)
        return self.fixed + counts.astype(np.int64) @ steps

    def total(self, counts: NDArray[np.integer], protect: NDArray[np.bool_] | bool) -> NDArray[np.int64]:
        """Bits of the whole payload, int64 (...)."""
        return self.head(counts, protect) + self.body(counts)

    def least(self, protect: bool) -> int:
        """Bits of the payload in which every place has level 0: no payload is smaller."""
        return int(self.total(np.zeros(len(self.levels) - 1, np.int64), protect))

    @property
    def most(self) -> int:
        """Bits that no payload exceeds, by the worst head and the worst body."""
        plain = self.most_plain
        golay = FLAG_COPIES + GOLAY_WORD * -(-plain // GOLAY_DATA)
        return (golay if self.protectable else plain) + self.fixed + self.places * max(self.levels)

    @property
    def most_plain(self) -> int:
        """Bits that no head exceeds before its protection."""
        worst = np.zeros(self.places + 1, np.int64)
        for _ in range(len(self.levels) - 1):
            here = [int((RANK_BITS[k, : k + 1] + worst[: k + 1]).max()) for k in range(self.places + 1)]
            worst = np.array(here, np.int64)
        steps = len(self.levels) - 1
        return int(worst[self.places]) + steps * self.count_bits + self.also + CHECK_BITS


def map_sizes(layout: Layout, tensors: Mapping[str, Tensor]) -> MapSizes:
    """Sizes of the payloads of a layout with a head.

    Args:
        tensors: Of the program, by name.

    Raises:
        ProgramError: There is no head, or a region's size is not told by it.
    """
    head = head_of(layout)
    missing = [name for name in layout.sources if name not in tensors]
    if missing:
        raise ProgramError(
            "the device program has no such tensor", value=missing[0], remedy="export it again"
        )
    places, levels = tensors[head.map], codes_held(tensors[head.map]).levels
    each = [0] * levels
    fixed = 0
    for region in layout.regions:
        source = tensors[region.source]
        match region.items:
            case Exactly(_, level) if level < levels and region.protection == "none":
                each[level] += source.items // source.rows * region.bits
            case Every():
                fixed += protected_bits(source.items * region.bits, region.protection)
            case _:
                raise ProgramError(
                    "behind a head, regions are sent whole or by the head's map",
                    value=region.source,
                    remedy="export the bundle again",
                )
    also = sum(tensors[name].items * code_bits(tensors[name]) for name in head.also)
    return MapSizes(places.items, also, head.protect is not None, fixed, tuple(each))
