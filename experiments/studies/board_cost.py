"""What an image of a bundle costs on the emulated board, as `semflash bench` measures it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.markdown import table
from semflash.errors import UsageError

BOARD, IMAGES = "qemu-stm32f405", 20
_TIMEOUT_S = 30.0


def board_cost(bundle: str) -> dict[str, Any]:
    """Instructions, estimated cycles, memory and the bundle's hash.

    Args:
        bundle: name in the zoo, or a folder.

    Raises:
        SemflashError: it cannot be built or run.
        UsageError: a code differs from the reference.
    """
    from semflash.bench.cycles.measure import cycle_plan
    from semflash.bench.run import BenchPlan, read_subject, run_bench
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.building.firmware import BuildOptions

    board = load_board(BOARD)
    with tempfile.TemporaryDirectory(prefix="semflash-bench-") as folder:
        options = BuildOptions(engine="aot", out_dir=Path(folder))
        cycles = cycle_plan(board, flash_of=None, wanted=None)
        plan = BenchPlan(board, options, IMAGES, 0, False, _TIMEOUT_S, cycles)
        (found,) = run_bench(read_subject(bundle), ["aot"], plan)
    if found.codes_wrong:
        raise UsageError("the board's codes differ from the reference", value=found.codes_wrong)
    assert found.sizes is not None  # an emulated board has an image
    cost = {
        "bundle": found.bundle_name,
        "bundle_hash": found.bundle_hash,
        "macs": found.macs,
        "instructions": found.counts_median,
        "ram_static": found.sizes.ram_static,
        "stack_bytes": found.stack_bytes,
        "flash": found.sizes.flash,
        "payload_bytes": found.payload_bytes,
    }
    if found.cycles is not None:
        total = found.cycles.total
        stalls = [one.fetch + one.read for one in total.flash]
        cost |= {
            "cycles_least": total.core_min + min(stalls, default=0),
            "cycles_most": total.core_max + max(stalls, default=0),
            "clock_hz": found.cycles.clock_hz,
        }
    return cost


def board_table(costs: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each bundle."""
    rows = []
    for name, cost in costs.items():
        cycles = "not estimated"
        if "cycles_least" in cost:
            cycles = f"{cost['cycles_least'] / 1e6:.2f} to {cost['cycles_most'] / 1e6:.2f} M"
            ms = [1e3 * cost[end] / cost["clock_hz"] for end in ("cycles_least", "cycles_most")]
            cycles += f" ({ms[0]:.1f} to {ms[1]:.1f} ms at {cost['clock_hz'] / 1e6:.0f} MHz)"
        rows.append(
            [
                f"`{name}`",
                f"{cost['macs']:,}",
                f"{cost['instructions']:,}",
                cycles,
                f"{cost['ram_static']:,} + {cost['stack_bytes']:,}",
                f"{cost['flash']:,}",
                str(cost["payload_bytes"]),
            ]
        )
    heads = [
        "bundle",
        "MAC",
        "instructions",
        "cycles, estimate",
        "RAM + stack, bytes",
        "flash, bytes",
        "payload",
    ]
    note = (
        f"*One image on {BOARD}, the median of {IMAGES}; RAM and flash are those of the whole firmware with "
        "its link. Instructions are counted by the emulator; cycles are an estimate from a timing model of "
        "the core and of its flash, no measurement on a board.*"
    )
    return f"{table(heads, rows)}\n\n{note}"
