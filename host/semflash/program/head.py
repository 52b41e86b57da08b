"""The head of the payload to bits and back: the map of levels as nested subsets, small tensors and a check.

The rank of a subset with members at the places p[1] < p[2] < ... is the sum of (p[i] over i), binomials: the
combinatorial number system. The places of a subset are numbered within the one before it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from semflash.program import golay
from semflash.program.held import code_bits, codes_held, head_of
from semflash.program.layout import Head
from semflash.program.map_sizes import CHECK_BITS, FLAG_COPIES, RANK_BITS, MapSizes
from semflash.program.patch_stages import PATCHES_MAX
from semflash.program.program import Program

#: n over k, uint64 (64, 65): all are below 2^63.
_BINOMIALS: NDArray[np.uint64] = np.array(
    [[comb(n, k) for k in range(PATCHES_MAX + 1)] for n in range(PATCHES_MAX)], np.uint64
)
_SUBSETS: NDArray[np.uint64] = np.array(
    [[comb(n, k) for k in range(PATCHES_MAX + 1)] for n in range(PATCHES_MAX + 1)], np.uint64
)


@dataclass(frozen=True)
class HeadOf:
    """What was received of the heads of N payloads.

    Attributes:
        codes: uint8 (N, items) by tensor; 0 in a lost image.
        end: int64 (N,), the first bit behind the head; 0 of a lost image.
        corrected: int64 (N,), bits that the protection changed.
        lost: bool (N,), whether the head cannot be trusted.
    """

    codes: dict[str, NDArray[np.uint8]]
    end: NDArray[np.int64]
    corrected: NDArray[np.int64]
    lost: NDArray[np.bool_]


class _Bits:
    """Numbers of varying width, one behind the other, for N images."""

    def __init__(self, images: int, most: int) -> None:
        self.bits = np.zeros((images, most), np.uint8)
        self.end = np.zeros(images, np.int64)
        self._every = np.arange(images)

    def put(self, numbers: NDArray[np.uint64], widths: NDArray[np.int64]) -> None:
        """Append a number to each image, (N,) each, its most significant bit first."""
        for place in range(int(widths.max(initial=0))):
            here = place < widths
            shift = (widths - 1 - place)[here].astype(np.uint64)
            self.bits[self._every[here], (self.end + place)[here]] = numbers[here] >> shift & np.uint64(1)
        self.end += widths

    def take(self, widths: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The next number of each image; bits beyond those there are count as 0."""
        numbers = np.zeros(len(self.end), np.uint64)
        for place in range(int(widths.max(initial=0))):
            at = self.end + place
            here = (place < widths) & (at < self.bits.shape[1])
            numbers[here] = numbers[here] << np.uint64(1) | self.bits[self._every[here], at[here]]
        self.end += widths
        return numbers


def encode_head(
    program: Program, flats: Mapping[str, NDArray[np.uint8]], protect: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bits of the heads of N payloads, uint8 (N, the most), and how many each has, int64 (N,).

    Args:
        flats: Codes by tensor, (N, items).
        protect: The value of the control that protects the head.
    """
    head, sizes = head_of(program.payload), program.map_sizes
    levels = flats[head.map]
    counts = _counts(levels, len(sizes.levels))
    plain = sizes.plain(counts)
    bits = _Bits(len(levels), _most_plain(sizes))
    _put(bits, counts, sizes, ranks(levels, len(sizes.levels)))
    for name, width in _also(program, head):
        for column in flats[name].T:
            bits.put(column.astype(np.uint64), np.full(len(levels), width))
    check = np.array(list(_checks(bits.bits, bits.end)), np.uint64)
    bits.put(check, np.full(len(levels), CHECK_BITS))
    sent, ends = bits.bits, plain
    if protect:
        words = golay.protect(sent.reshape(len(sent), -1, golay.DATA))
        sent, ends = words.reshape(len(sent), -1), golay.WORD * -(-plain // golay.DATA)
    if sizes.protectable:
        sent = np.concatenate([np.full((len(sent), FLAG_COPIES), protect, np.uint8), sent], axis=1)
        ends = ends + FLAG_COPIES
    return sent, ends


def decode_head(
    program: Program, stream: NDArray[np.uint8], known: NDArray[np.bool_], lengths: NDArray[np.int64]
) -> HeadOf:
    """What the receiver trusts of N heads.

    Args:
        stream: Bits (N, B) of the payloads, B beyond the longest head.
        known: The same shape, False where a bit did not arrive.
        lengths: Of the payloads in bits, or rounded up to whole bytes.
    """
    head, sizes = head_of(program.payload), program.map_sizes
    flag = FLAG_COPIES if sizes.protectable else 0
    protected = stream[:, :flag].sum(axis=1) > FLAG_COPIES // 2
    most = _most_plain(sizes)
    words = stream[:, flag : flag + golay.WORD * most // golay.DATA].reshape(len(stream), -1, golay.WORD)
    data, repaired, sound = golay.unprotect(words)
    bits = _Bits(len(stream), most)
    plain_bits = stream[:, flag : flag + most]
    bits.bits = np.where(protected[:, None], data.reshape(len(stream), -1), plain_bits)
    found, good = _take(program, head, bits, sizes)
    counts = _counts(found[head.map], len(sizes.levels))
    plain, end = sizes.plain(counts), sizes.head(counts, protected)
    used = np.arange(words.shape[1]) < -(-plain // golay.DATA)[:, None]
    good &= np.where(protected, (sound | ~used).all(axis=1), True)
    good &= (known | (np.arange(stream.shape[1]) >= end[:, None])).all(axis=1)
    total = end + sizes.body(counts)
    good &= (total == lengths) | ((lengths % 8 == 0) & (total <= lengths) & (lengths < total + 8))
    corrected = np.where(protected, np.where(used, repaired, 0).sum(axis=1), 0)
    codes = {name: np.where(good[:, None], each, 0).astype(np.uint8) for name, each in found.items()}
    return HeadOf(codes, np.where(good, end, 0), np.where(good, corrected, 0), ~good)


def head_room(program: Program) -> int:
    """Bits that :func:`decode_head` looks at."""
    return FLAG_COPIES + golay.WORD * _most_plain(program.map_sizes) // golay.DATA


def _take(
    program: Program, head: Head, bits: _Bits, sizes: MapSizes
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.bool_]]:
    """Codes by tensor, and whether counts, ranks, codes and check of each image are sound."""
    images, steps = len(bits.end), len(sizes.levels) - 1
    width = np.full(images, sizes.count_bits)
    counts = np.stack([bits.take(width) for _ in range(steps)], axis=1).astype(np.int64)
    before = np.concatenate([np.full((images, 1), sizes.places), counts[:, :-1]], axis=1)
    good: NDArray[np.bool_] = np.all(counts <= before, axis=1)
    counts, before = (np.where(good[:, None], each, 0) for each in (counts, before))
    subsets = []
    for step in range(steps):
        rank = bits.take(RANK_BITS[before[:, step], counts[:, step]].astype(np.int64))
        inside = rank < _SUBSETS[before[:, step], counts[:, step]]
        good &= inside
        subsets.append(np.where(inside, rank, 0).astype(np.uint64))
    found = {head.map: _levels(np.stack(subsets, axis=1), counts, sizes.places)}
    for name, each in _also(program, head):
        tensor = program.tensor(name)
        codes = [bits.take(np.full(images, each)) for _ in range(tensor.items)]
        found[name] = np.stack(codes, axis=1).astype(np.uint8)
        good &= (found[name] < codes_held(tensor).levels).all(axis=1)
    check = np.array(list(_checks(bits.bits, bits.end)), np.uint64)
    good &= bits.take(np.full(images, CHECK_BITS)) == check
    return found, good


def _also(program: Program, head: Head) -> list[tuple[str, int]]:
    """The small tensors and the bits of their codes."""
    return [(name, code_bits(program.tensor(name))) for name in head.also]


def _most_plain(sizes: MapSizes) -> int:
    """Bits that no head exceeds before its protection, a multiple of a Golay word's data."""
    return golay.DATA * -(-sizes.most_plain // golay.DATA)


def _counts(levels: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """How many of the places (N, n) have at least level 1, 2, ..., int64 (N, kinds - 1)."""
    return np.stack([(levels >= level).sum(axis=1) for level in range(1, kinds)], axis=1)


def _put(bits: _Bits, counts: NDArray[np.int64], sizes: MapSizes, found: NDArray[np.uint64]) -> None:
    """Counts and ranks, both (N, levels - 1)."""
    width = np.full(len(counts), sizes.count_bits)
    for column in counts.T:
        bits.put(column.astype(np.uint64), width)
    before = np.full(len(counts), sizes.places)
    for column, rank in zip(counts.T, found.T, strict=True):
        bits.put(rank, RANK_BITS[before, column].astype(np.int64))
        before = column


def ranks(levels: NDArray[np.uint8], kinds: int) -> NDArray[np.uint64]:
    """Ranks of the subsets of the places (N, n) with at least level 1, 2, ..., uint64 (N, kinds - 1)."""
    found, universe = [], np.ones_like(levels, np.bool_)
    for level in range(1, kinds):
        inside = levels >= level
        place, member = universe.cumsum(axis=1) - 1, inside.cumsum(axis=1)
        terms = np.where(inside, _BINOMIALS[np.maximum(place, 0), member], 0)
        found.append(terms.sum(axis=1, dtype=np.uint64))
        universe = inside
    return np.stack(found, axis=1)


def _levels(found: NDArray[np.uint64], counts: NDArray[np.int64], places: int) -> NDArray[np.uint8]:
    """Undo :func:`ranks`: levels (N, places) of sound ranks and counts, both (N, levels - 1)."""
    levels = np.zeros((len(found), places), np.uint8)
    universe = np.ones_like(levels, np.bool_)
    for step in range(found.shape[1]):
        rank, left = found[:, step].copy(), counts[:, step].copy()
        inside = np.zeros_like(universe)
        numbers = universe.cumsum(axis=1) - 1
        for place in range(places - 1, -1, -1):
            term = _BINOMIALS[np.maximum(numbers[:, place], 0), left]
            member = universe[:, place] & (left > 0) & (rank >= term)
            rank[member] -= term[member]
            left -= member
            inside[:, place] = member
        levels += inside
        universe = inside
    return levels


def _checks(bits: NDArray[np.uint8], ends: NDArray[np.int64]) -> Iterator[int]:
    """CRC-16/CCITT-FALSE over the bits before each end, filled with zeros to whole bytes."""
    sound = np.where(np.arange(bits.shape[1]) < ends[:, None], bits, 0)
    for row, end in zip(np.packbits(sound.astype(np.uint8), axis=1), ends.tolist(), strict=True):
        yield binascii.crc_hqx(row[: -(-end // 8)].tobytes(), 0xFFFF)
