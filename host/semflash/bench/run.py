"""A whole bench: build, flash and measure a model in one or several ways."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from semflash.bench.bench import BenchResult, bench, with_layers
from semflash.bench.cycles.measure import INSTANCE, CyclePlan, total_cycles, with_layer_cycles
from semflash.bundle.reader import Bundle, read_bundle
from semflash.errors import UsageError
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.building.bare_model import read_bare_model
from semflash.firmware.building.firmware import BUILD_ROOT, build_bundle
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.result import BuildResult

#: What --engine of bench may name: (engine, kernels, weights). None: as the other flags say.
VARIANTS: dict[str, tuple[str, str | None, str | None]] = {
    "aot": ("aot", None, None),
    "small": ("aot", None, "small"),
    "cmsis-nn": ("aot", "cmsis-nn", None),
    "reference": ("aot", "reference", None),
    "tflm": ("tflm", None, None),
}
COMPARED = ("aot", "cmsis-nn", "tflm")


@dataclass(frozen=True)
class BenchPlan:
    """What to measure, and how.

    Attributes:
        board: Where.
        options: How to build; out_dir is the parent of one folder a variant.
        count: Images of the total.
        seed: Of their noise.
        layers: Measure every layer as well.
        timeout_s: Silence of the board that counts as lost.
        cycles: How cycles are estimated; None: they are not.
    """

    board: Board
    options: BuildOptions
    count: int = 20
    seed: int = 0
    layers: bool = True
    timeout_s: float = 10.0
    cycles: CyclePlan | None = None


def read_subject(name: str) -> Bundle:
    """A bundle (folder, name of the zoo), or a bare .tflite file dressed as one."""
    return read_bare_model(Path(name)) if name.endswith(".tflite") else read_bundle(name)


def variant_options(name: str, options: BuildOptions) -> BuildOptions:
    """`options` changed to a variant.

    Raises:
        UsageError: no such variant.
    """
    if name not in VARIANTS:
        raise UsageError("there is no such engine to measure", value=name, remedy=", ".join(VARIANTS))
    engine, kernels, weights = VARIANTS[name]
    return replace(
        options, engine=engine, kernels=kernels or options.kernels, weights=weights or options.weights
    )


def run_bench(bundle: Bundle, variants: Sequence[str], plan: BenchPlan) -> Iterator[BenchResult]:
    """Measure `bundle` in each of `variants`, one after the other.

    Build folders are kept by variant, not by model, so that the next model compiles only what differs.

    Raises:
        UsageError: no such variant.
        BuildError, ModelError, DeviceError, LinkError: as build, flash and bench.
    """
    chosen = {name: variant_options(name, plan.options) for name in variants}
    for name, options in chosen.items():
        parent = options.out_dir or BUILD_ROOT
        yield _measure(bundle, plan, replace(options, out_dir=parent / f"bench-{plan.board.name}-{name}"))


def _measure(bundle: Bundle, plan: BenchPlan, options: BuildOptions) -> BenchResult:
    """Total of the firmware as it ships; layers of one with the layer clock."""
    built = build_bundle(bundle, plan.board, options)
    with flashed(built) as instance:
        result = bench(
            bundle, built, count=plan.count, seed=plan.seed, timeout_s=plan.timeout_s, instance=instance
        )
    if plan.cycles is not None:
        cycles = total_cycles(bundle, built, plan.cycles, seed=plan.seed, timeout_s=plan.timeout_s)
        result = msgspec.structs.replace(result, cycles=cycles)
    if not plan.layers or built.kind == "native":
        return result
    return _measure_layers(result, bundle, plan, replace(options, bench="layers"))


def _measure_layers(
    result: BenchResult, bundle: Bundle, plan: BenchPlan, options: BuildOptions
) -> BenchResult:
    """`result` with what every layer takes, on a firmware with the layer clock."""
    clocked = build_bundle(bundle, plan.board, options)
    with flashed(clocked) as instance:
        result = with_layers(
            result, bundle, clocked, seed=plan.seed, timeout_s=plan.timeout_s, instance=instance
        )
    if plan.cycles is None:
        return result
    cycles = with_layer_cycles(result, bundle, clocked, plan.cycles, seed=plan.seed, timeout_s=plan.timeout_s)
    return msgspec.structs.replace(result, cycles=cycles)


@contextmanager
def flashed(built: BuildResult) -> Iterator[str]:
    """The name of a board that runs `built`; an emulated one is an instance of its own, gone afterwards."""
    if built.kind != "emulated":
        from semflash.firmware.boards.lock import BoardUser
        from semflash.firmware.probes.flash import flash

        with ExitStack() as held:  # nobody takes the board between flash and measurement
            yield flash(built, user=BoardUser("semflash bench"), keep=held).board
        return
    from semflash.firmware.boards import lock as board_lock
    from semflash.firmware.emulator import emulator, state

    state.remove_left(INSTANCE)
    instance = f"{INSTANCE}{os.getpid()}"
    with board_lock.hold(board_lock.emulated_key(instance), what="semflash bench"):
        try:
            emulator.start_build(built, instance=instance, stays=False)
            yield instance
        finally:
            emulator.discard(instance)
