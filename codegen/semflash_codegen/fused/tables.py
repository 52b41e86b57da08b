"""Weight tables in the order in which the row kernels consume them.

A *step* is one SMLAD: two input bytes times two weights. A kernel row is `run` consecutive bytes of an input
row; each whole word (b0 b1 b2 b3) gives the steps (b0, b2) and (b1, b3), which is what UXTB16 unpacks without
a shuffle. What is left over (run % 4 bytes) is paired across kernel rows at the end: 3 left: the step (b0,
b2) and the single b1; 1 or 2 left: singles. Output channels go in groups of four *slots* holding the channels
0, 2, 1, 3 of the group, so that packing two 16-bit pairs by one ORR gives bytes in the natural order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflash_codegen.fused.requantise import CheapForm

SLOTS = (0, 2, 1, 3)
Element = tuple[int, int]
"""(kernel row, byte within the row's run)."""
Step = tuple[Element, Element | None]


@dataclass(frozen=True)
class Gather:
    """Which bytes one patch holds: `rows` kernel rows of `run` bytes each. whole_words: over-read instead of
    singles."""

    rows: int
    run: int
    whole_words: bool = False

    @property
    def words(self) -> int:
        return -(-self.run // 4) if self.whole_words else self.run // 4

    @property
    def left(self) -> int:
        return 0 if self.whole_words else self.run % 4

    @property
    def steps(self) -> int:
        singles = self.rows * (0, 1, 2, 1)[self.left]
        return self.rows * (2 * self.words + (self.left == 3)) + (singles + 1) // 2

    @property
    def last(self) -> int:
        """Offset within a row of what is read last."""
        return 4 * self.words - (0 if self.left else 4)

    def order(self) -> list[Step]:
        steps: list[Step] = []
        singles: list[Element] = []
        for row in range(self.rows):
            for word in range(self.words + (self.left == 3)):
                at = 4 * word
                steps.append(((row, at), (row, at + 2)))
                if word < self.words:
                    steps.append(((row, at + 1), (row, at + 3)))
            at = 4 * self.words
            singles += [(row, at + 1)] if self.left == 3 else [(row, at + i) for i in range(self.left)]
        pairs = [*singles, None] if len(singles) % 2 else list(singles)
        for first, second in zip(pairs[::2], pairs[1::2], strict=True):
            assert first is not None
            steps.append((first, second))
        return steps


def groups(channels: int) -> list[list[int | None]]:
    """Channels of every group by slot, the last group first (its surplus bytes are overwritten by what
    follows)."""
    result = []
    for group in reversed(range(-(-channels // 4))):
        members = [4 * group + slot for slot in SLOTS]
        result.append([c if c < channels else None for c in members])
    return result


def pair(low: int, high: int) -> int:
    """Two int16 as one little-endian word."""
    if not (-32768 <= low < 32768 and -32768 <= high < 32768):
        raise ValueError(f"weight pair {low}, {high} does not fit int16")
    return (low & 0xFFFF) | ((high & 0xFFFF) << 16)


def group_words(
    weights: NDArray[np.int64], steps: list[Step], members: list[int | None], small: bool
) -> list[int]:
    """The MAC words of one group. weights: (channels, rows, run), already shifted by k unless small."""
    rows, run = weights.shape[1:]

    def value(channel: int | None, element: Element | None) -> int:
        if channel is None or element is None or element[0] >= rows or element[1] >= run:
            return 0
        return int(weights[channel, element[0], element[1]])

    words = []
    for first, second in steps:
        lanes = [(value(c, first), value(c, second)) for c in members]
        if not small:
            words += [pair(low, high) for low, high in lanes]
            continue
        for (a_low, a_high), (b_low, b_high) in (lanes[:2], lanes[2:]):
            octets = (a_low, b_low, a_high, b_high)
            words.append(sum((octet & 0xFF) << (8 * i) for i, octet in enumerate(octets)))
    return words


def coefficients(form: CheapForm, members: list[int | None], small: bool) -> list[int]:
    """Requantisation words of one group: m, B [, D] [, k] per slot."""
    words = []
    for channel in members:
        if channel is None:
            entry = [0, 0, 0, 0]
        else:
            entry = [int(x[channel]) for x in (form.m, form.b, form.d, form.k)]
        words += [entry[0], entry[1]] + ([entry[2]] if form.signed else []) + ([entry[3]] if small else [])
    return [word & 0xFFFFFFFF for word in words]
