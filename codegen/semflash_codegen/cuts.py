"""Where to cut a streaming chain so that it needs the least memory.

A long chain keeps a few rows for every layer; cut in two, a whole tensor lies between the parts, but each
part keeps rows for its own layers only, and can often write its output over its input. Dynamic programming
over the stages finds the cheapest cuts; among equals the fewest.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from semflash_codegen.fused.layers import Conv, Layer, Shape, Table
from semflash_codegen.fused.stages import Plan, Stage, place

_LONGEST = 32  # stages in one part of a cut chain; bounds the search


@dataclass(frozen=True)
class Part:
    """Stages [first, last) of a chain as a plan of their own. in_place: the output may lie over the input.

    A single stage without a convolution had better run layer by layer.
    """

    first: int
    last: int
    plan: Plan
    in_place: bool


def cut(plan: Plan, *, begins_in_memory: bool, input_dies: bool) -> list[Part]:
    """The parts of a chain.

    Args:
        plan: of the whole chain.
        begins_in_memory: its input is a tensor in the arena; else rows are pushed into the first part, whose
            state stays beside the arena.
        input_dies: nobody needs that tensor afterwards.
    """
    stages = plan.stages
    costs = _Costs(stages, begins_in_memory, input_dies)
    bounds = [0] if begins_in_memory else [0, costs.head()]
    bounds += costs.tail(bounds[-1])
    return [
        Part(i, j, place([copy(stage) for stage in stages[i:j]]), (i, j) in costs.in_place)
        for i, j in pairwise(bounds)
    ]


class _Costs:
    """Bytes that parts of a chain need."""

    def __init__(self, stages: Sequence[Stage], begins_in_memory: bool, input_dies: bool) -> None:
        self._stages = stages
        self._kept = 0 if not begins_in_memory or input_dies else _size(stages[0].layers[0].source)
        self.in_place = _in_place(stages, first=begins_in_memory and input_dies)
        self._peaks = self._find_peaks()

    def head(self) -> int:
        """End of the first part, whose state adds to whatever follows."""

        def total(end: int) -> int:
            output = _size(self._stages[end - 1].layers[-1].output)
            return self._state(0, end) + max(self._peaks[end], output)

        return min(range(1, len(self._stages) + 1), key=lambda end: (total(end), -end))

    def tail(self, start: int) -> list[int]:
        """Ends of the parts from stage `start` on: the fewest that do not exceed the least peak."""
        count = len(self._stages)
        if start == count:
            return []
        peak = self._peaks[start]
        fewest: dict[int, tuple[int, list[int]]] = {count: (0, [])}
        for i in range(count - 1, start - 1, -1):
            options = [
                (fewest[j][0] + 1, [j, *fewest[j][1]])
                for j in range(i + 1, min(count, i + _LONGEST) + 1)
                if j in fewest and self._bytes(i, j) <= peak
            ]
            if options:
                fewest[i] = min(options, key=lambda option: option[0])
        return fewest[start][1]

    def _find_peaks(self) -> dict[int, int]:
        """Least peak of the stages from each one to the end."""
        count = len(self._stages)
        peaks = {count: 0}
        for i in range(count - 1, -1, -1):
            ends = range(i + 1, min(count, i + _LONGEST) + 1)
            peaks[i] = min(max(self._bytes(i, j), peaks[j]) for j in ends)
        return peaks

    def _bytes(self, i: int, j: int) -> int:
        """What is alive while stages [i, j) run from memory to memory."""
        source, output = self._stages[i].layers[0].source, self._stages[j - 1].layers[-1].output
        sizes = _size(source), _size(output)
        if j == i + 1 and not multiplies(self._stages[i].layers):
            return sum(sizes) + (self._kept if i > 0 else 0)
        both = max(sizes) if (i, j) in self.in_place else sum(sizes)
        return both + self._state(i, j) + (self._kept if i > 0 else 0)

    def _state(self, i: int, j: int) -> int:
        """Estimate of the state: rings, accumulators, one output row."""
        rings = sum(stage.slots * stage.pitch + stage.scratch_bytes for stage in self._stages[i:j])
        return rings + self._stages[j - 1].layers[-1].output.row_bytes


def _in_place(stages: Sequence[Stage], *, first: bool) -> set[tuple[int, int]]:
    """Parts (i, j) that may write over their input: no output row ends before its input rows have arrived.

    first: whether the chain's own input may be overwritten, too.
    """
    found = set()
    for j in range(1, len(stages) + 1):
        output = stages[j - 1].layers[-1].output
        rows = np.arange(output.height, dtype=np.int64)
        needed = rows
        for i in range(j - 1, max(-1, j - 1 - _LONGEST), -1):
            for layer in reversed(stages[i].layers):
                needed = _rows_needed(layer, needed)
            source = stages[i].layers[0].source
            fits = _size(output) <= _size(source)
            ahead = np.any((rows + 1) * output.row_bytes > (needed + 1) * source.row_bytes)
            if fits and not ahead and (i > 0 or first):
                found.add((i, j))
    return found


def _rows_needed(layer: Layer, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The last input row that each output row needs."""
    if isinstance(layer, Table):
        return rows
    window = layer.window
    last = rows * window.stride[0] + window.kernel[0] - 1 - window.top
    return last.clip(0, layer.source.height - 1)


def multiplies(layers: Sequence[Layer]) -> bool:
    """Whether there is a convolution; what has none (a pool, a table) needs no state layer by layer."""
    return any(isinstance(layer, Conv) for layer in layers)


def _size(shape: Shape) -> int:
    return shape.height * shape.row_bytes
