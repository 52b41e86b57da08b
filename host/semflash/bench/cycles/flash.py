"""Flash memories as the cycle estimate imagines them: a kind and a harsh reading of a board's description.

Sources: ST RM0090, RM0368, RM0390 (F4: section "Adaptive real-time memory accelerator") and RM0351, RM0432
(L4, L4+: section "FLASH read access latency and caches"). What no manual says is how long a line takes beyond
its first read: the kind model takes nothing, the harsh one a whole access for every read.
"""

from __future__ import annotations

from dataclasses import dataclass

from semflash.errors import UsageError
from semflash.firmware.boards.descriptions import Board

CORE = "cortex-m4"


@dataclass(frozen=True)
class FlashModel:
    """One flash memory with its caches.

    Attributes:
        name: "kind" or "harsh", or whatever the caller calls it.
        lines: Of the cache of instructions, fully associative, the oldest line goes first.
        line_bytes: What one access of the flash brings.
        data_lines: Of the cache of constants.
        data_line_bytes: Likewise.
        wait_states: Cycles of waiting for an access.
        prefetch: The line behind the one that is executed is read ahead.
    """

    name: str
    lines: int
    line_bytes: int
    data_lines: int
    data_line_bytes: int
    wait_states: int
    prefetch: bool


def flash_models(board: Board) -> tuple[FlashModel, FlashModel]:
    """The kind and the harsh model of a board's flash.

    Kind: one access brings a whole cache line. Harsh: it brings what the flash reads at once, `read_bytes`,
    and the caches hold as many bytes as before; where that is the whole line anyway, nothing is read ahead.

    Raises:
        UsageError: The board has another core, or its description says nothing about the flash's cache.
    """
    if board.cpu != CORE:
        raise UsageError(
            "cycles are estimated for a Cortex-M4 only",
            value=f"{board.name}: {board.cpu}",
            remedy="--no-cycles",
        )
    cache = board.flash.cache if board.flash is not None else None
    if cache is None or board.clock is None:
        raise UsageError(
            "the board's description says nothing about the flash's cache",
            value=board.name,
            remedy="add [flash.cache] to it (docs/boards.md)",
        )
    waits = board.clock.flash_wait_states
    kind = FlashModel(
        "kind", cache.lines, cache.line_bytes, cache.data_lines, cache.line_bytes, waits, cache.prefetch
    )
    pieces = cache.line_bytes // cache.read_bytes
    harsh = FlashModel(
        "harsh",
        cache.lines * pieces,
        cache.read_bytes,
        cache.data_lines * pieces,
        cache.read_bytes,
        waits,
        cache.prefetch and pieces > 1,
    )
    return kind, harsh
