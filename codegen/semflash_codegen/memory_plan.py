"""Where activations and scratch live in one arena: liveness, then greedy placement by size.

Source of the idea: TFLite-Micro's greedy memory planner; largest first, lowest free offset among those alive
at once.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 8


@dataclass(frozen=True)
class Buffer:
    """A piece of memory alive from step `first` to step `last`, both included."""

    name: str
    size_bytes: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """True where both are alive in one step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Arena:
    """Offsets by buffer name, and the size of it all; every offset is a multiple of ALIGNMENT."""

    offsets: dict[str, int]
    size_bytes: int


def place(buffers: Sequence[Buffer]) -> Arena:
    """Give every buffer an offset such that no two alive at once overlap.

    Order of ties is by first step and name, so equal inputs give equal plans.
    """
    placed: list[tuple[int, Buffer]] = []  # by offset
    for buffer in sorted(buffers, key=lambda b: (-b.size_bytes, b.first, b.name)):
        offset = 0
        for start, other in placed:
            if not other.overlaps(buffer):
                continue
            if offset + buffer.size_bytes <= start:
                break
            offset = max(offset, align(start + other.size_bytes))
        insort(placed, (offset, buffer), key=lambda item: item[0])
    size = max((offset + align(buffer.size_bytes) for offset, buffer in placed), default=0)
    return Arena({buffer.name: offset for offset, buffer in placed}, size)


def align(size: int) -> int:
    """Next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT
