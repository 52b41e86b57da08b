"""Weight tables in the order in which the row kernels consume them.

A *step* is one SMLAD: two input bytes times two weights. A kernel row is `run` consecutive bytes of an input
row; each whole word (b0 b1 b2 b3) gives the steps (b0, b2) and (b1, b3), which is what UXTB16 unpacks without
a shuffle. What is left over (run % 4 bytes) is paired across kernel rows at the end: 3 left: the step (b0,
b2) and the single b1; 1 or 2 left: singles. Output channels go in groups of four *slots* holding the channels
0, 2, 1, 3 of the group, so that packing two 16-bit pairs by one ORR gives bytes in the natural order.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    weights: NDArray[np.int64], steps: Sequence[Step | None], members: list[int | None], mixed: bool
) -> list[int]:
    """The MAC words of one group. weights: (channels, rows, run), already shifted by k unless mixed.

    steps: None is a step of zeros.
    """
    rows, run = weights.shape[1:]

    def value(channel: int | None, element: Element | None) -> int:
        if channel is None or element is None or element[0] >= rows or element[1] >= run:
            return 0
        return int(weights[channel, element[0], element[1]])

    words = []
    for first, second in (step or (None, None) for step in steps):
        lanes = [(value(c, first), value(c, second)) for c in members]
        if not mixed:
            words += [pair(low, high) for low, high in lanes]
            continue
        for a, b in zip(lanes[::2], lanes[1::2], strict=True):
            words.append(pair(a[0] + 256 * b[0], a[1] + 256 * b[1]))
    return words


def mixed_bias(values: Sequence[int]) -> list[int]:
    """Biases of slots 0 to 3 as the accumulators of mixed weights begin; any number of pairs."""
    pairs = zip(values[::2], values[1::2], strict=True)
    return [signed_word(word) for a, b in pairs for word in (a, a + 256 * b)]


def signed_word(value: int) -> int:
    """A number modulo 2^32, as an int32."""
    return ((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def coefficients(form: CheapForm, members: list[int | None]) -> list[int]:
    """Requantisation words of one group: m, B [, D] per slot."""
    words = []
    for channel in members:
        entry = [0, 0, 0] if channel is None else [int(x[channel]) for x in (form.m, form.b, form.d)]
        words += entry[: 3 if form.signed else 2]
    return [word & 0xFFFFFFFF for word in words]
