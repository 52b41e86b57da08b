"""Run a firmware with the plugin that counts cycles, on an emulated board of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from semflash.bench.bench import BenchResult, bench_images, exchange
from semflash.bench.cycles.estimate import CycleEstimate, CycleResult, read_estimate
from semflash.bench.cycles.flash import flash_models
from semflash.bench.cycles.plan import plan_text
from semflash.bench.cycles.plugin import argument, plugin
from semflash.bundle.reader import Bundle
from semflash.errors import ToolMissingError, UsageError
from semflash.firmware.boards.descriptions import Board, load_board
from semflash.firmware.building.result import BuildResult

#: Images of a run; the last one counts, when caches are warm.
_IMAGES = 2
#: Every instruction goes through the plugin: so much slower is the board than without it.
_SLOWER = 12
#: Emulated boards of a bench are called so, and by the process id.
INSTANCE = "bench-"


@dataclass(frozen=True)
class CyclePlan:
    """How cycles are estimated.

    Attributes:
        library: The plugin.
        flash_of: The board whose flash is imagined.
    """

    library: Path
    flash_of: Board


def cycle_plan(board: Board, *, flash_of: str | None, wanted: bool | None) -> CyclePlan | None:
    """How to estimate on `board`, or None.

    Args:
        flash_of: Name of another board whose flash is imagined.
        wanted: True: it must be possible. None: where it is, and the board is emulated.

    Raises:
        UsageError: Wanted, and the board is not emulated, or the model knows too little of the flash.
        ToolMissingError, BuildError: Wanted, and the plugin cannot be had.
    """
    if wanted is False:
        return None
    insisted = wanted is True or flash_of is not None
    if board.emulator is None:
        if insisted:
            raise UsageError(
                "cycles are estimated on an emulated board; a real one counts them",
                value=board.name,
                remedy="--board qemu-stm32f405 --flash-of BOARD",
            )
        return None
    imagined = load_board(flash_of) if flash_of is not None else board
    try:
        flash_models(imagined)
        return CyclePlan(plugin(board.emulator.command), imagined)
    except (ToolMissingError, UsageError):
        if insisted:
            raise
        return None


def total_cycles(
    bundle: Bundle, built: BuildResult, plan: CyclePlan, *, seed: int, timeout_s: float
) -> CycleResult:
    """The estimate of one image.

    Raises:
        DeviceError, LinkError: The board does not run the build, or counts nothing.
    """
    total, _ = _run(bundle, built, plan, seed, timeout_s)
    return CycleResult(plan.flash_of.name, plan.flash_of.clock_hz, total)


def with_layer_cycles(
    result: BenchResult,
    bundle: Bundle,
    built: BuildResult,
    plan: CyclePlan,
    *,
    seed: int,
    timeout_s: float,
) -> CycleResult:
    """The estimate of `result` with that of its layers; `built` has the layer clock.

    Raises:
        DeviceError, LinkError: As :func:`total_cycles`.
    """
    assert result.cycles is not None
    total, layers = _run(bundle, built, plan, seed, timeout_s)
    nothing = total.less([total])
    steps = sorted({layer.step for layer in built.layers})
    found = tuple(layers.get(step, nothing) for step in steps)
    return CycleResult(
        result.cycles.flash_of,
        result.cycles.clock_hz,
        result.cycles.total,
        found,
        total.less(found),
    )


def _run(
    bundle: Bundle, built: BuildResult, plan: CyclePlan, seed: int, timeout_s: float
) -> tuple[CycleEstimate, dict[int, CycleEstimate]]:
    models = flash_models(plan.flash_of)
    images = bench_images(bundle, _IMAGES + 1, seed)[:_IMAGES]  # black, then noise
    with tempfile.TemporaryDirectory(prefix="semflash-cycles-") as name:
        folder = Path(name)
        flash = load_board(built.board).flash
        assert flash is not None  # of an emulated board
        (folder / "plan").write_text(plan_text(built.image_path, flash, models), encoding="utf-8")
        out = folder / "counts.json"
        with _counting(built, argument(plan.library, folder / "plan", out)) as instance:
            exchange(bundle, built, images, timeout_s * _SLOWER, instance)
        return read_estimate(out, models)


@contextmanager
def _counting(built: BuildResult, loaded: str) -> Iterator[str]:
    """An emulated board with the plugin; it writes when the board is stopped."""
    from semflash.firmware.boards import lock as board_lock
    from semflash.firmware.emulator import emulator

    instance = f"{INSTANCE}{os.getpid()}"
    with board_lock.hold(board_lock.emulated_key(instance), what="semflash bench"):
        try:
            emulator.start_build(built, instance=instance, stays=False, plugin=loaded)
            yield instance
        finally:
            emulator.discard(instance)
