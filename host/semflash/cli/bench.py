"""semflash bench: what a model costs on a board."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options
from semflash.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from semflash.bench.bench import BenchResult
    from semflash.settings import Settings

HELP = "measure instructions, RAM and flash of a model on a board"
EPILOG = """examples:
  semflash bench fashion-mnist-48
  semflash bench my.semcodec --board native --images 1000 --json
  semflash bench encoder.tflite --engine aot,cmsis-nn
  semflash bench fashion-mnist-48 --compare --chart cost.svg
  semflash bench fashion-mnist-48 --flash-of nucleo_l476rg

The emulator counts instructions, a real core counts cycles, native counts nothing. On an emulated board the
cycles of a Cortex-M4 are estimated beside them (docs/cycles.md): an estimate, not a measurement. Every code
is compared with the golden reference; exit code 1 where one differs. On an emulated board an instance of its
own is measured; one that runs already is left alone. Layers are measured in a second build, with a clock
in it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    build_options.add_target(parser, build_options.SUBJECT)
    build_options.add_build(parser, engine=False)
    parser.add_argument(
        "--engine", metavar="NAME,...", help="aot, small, cmsis-nn, reference, tflm; several with commas"
    )
    parser.add_argument("--compare", action="store_true", help="aot, cmsis-nn and, with a TFLM tree, tflm")
    parser.add_argument("--images", type=_count, default=20, metavar="N", help="images to run (default: 20)")
    parser.add_argument("--seed", type=_seed, default=0, help="of the noise images (default: 0)")
    parser.add_argument("--no-layers", action="store_true", help="the total alone: one build instead of two")
    parser.add_argument(
        "--cycles",
        action=argparse.BooleanOptionalAction,
        help="estimate the cycles of a Cortex-M4 (default: where an emulated board's emulator takes plugins)",
    )
    parser.add_argument(
        "--flash-of", metavar="BOARD", help="estimate with this board's flash instead of the emulated one's"
    )
    parser.add_argument("--chart", type=Path, metavar="FILE", help="bar chart, PNG or SVG (semflash[plot])")
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON; a list where several were measured"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build, flash, measure; 1 where a code is wrong."""
    from semflash.bench.cycles.measure import cycle_plan
    from semflash.bench.run import BenchPlan, read_subject, run_bench

    if args.chart is not None:
        from semflash.bench.chart import check_chart

        check_chart(args.chart)
    variants = _variants(args, settings)
    bundle = read_subject(build_options.bundle_name(args, settings))
    options = replace(build_options.options(args, settings), engine="aot")
    if options.out_dir is None:
        options = replace(options, out_dir=build_options.build_root(settings))
    board = build_options.board(args, settings)
    if args.flash_of is not None and args.cycles is False:
        raise UsageError("--flash-of and --no-cycles exclude each other", remedy="leave one of them out")
    plan = BenchPlan(
        board,
        options,
        args.images,
        args.seed,
        not args.no_layers,
        settings.link.timeout_s,
        cycle_plan(board, flash_of=args.flash_of, wanted=args.cycles),
    )
    results = []
    for result in run_bench(bundle, variants, plan):
        results.append(result)
        if not args.json:
            _show(result)
    if args.json:
        import msgspec

        several = len(variants) > 1
        print(msgspec.json.encode(results if several else results[0]).decode())
    elif len(results) > 1:
        _compare(results)
    if args.chart is not None:
        from semflash.bench.chart import draw_chart

        draw_chart(results, args.chart)
    return 1 if any(result.codes_wrong for result in results) else 0


def _variants(args: argparse.Namespace, settings: Settings) -> list[str]:
    """Names of what is to be measured.

    Raises:
        UsageError: both --engine and --compare.
    """
    from semflash.bench.run import COMPARED
    from semflash.firmware.building.tflm_tree import named

    if args.compare and args.engine:
        raise UsageError("--compare and --engine exclude each other", remedy="name the engines: --engine A,B")
    if args.compare:
        tree = named(build_options.tflm_dir(args, settings))
        return [name for name in COMPARED if name != "tflm" or tree is not None]
    return [name.strip() for name in (args.engine or settings.build.engine).split(",")]


def _count(text: str) -> int:
    """An image count of 1 to 100,000."""
    return _whole(text, 1, 100_000)


def _seed(text: str) -> int:
    """A seed of 0 to 2^53."""
    return _whole(text, 0, 1 << 53)


def _whole(text: str, low: int, high: int) -> int:
    if not (text.isdecimal() and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {low} to {high}")
    return int(text)


def _show(result: BenchResult) -> None:
    """The tables for people."""
    from rich.table import Table

    from semflash.console import console as make_console

    console = make_console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for what, value in _rows(result):
        table.add_row(what, value)
    console.print(table)
    if result.layers:
        console.print(_layer_table(result))
    console.print()


def _layer_table(result: BenchResult) -> Table:
    """One line a layer, and one for what they leave."""
    from rich.table import Table

    estimates = result.cycles.layers if result.cycles is not None else ()
    table = Table(box=None, pad_edge=False)
    table.add_column("layers", overflow="fold")
    for title in (result.counter, "MACs", "per MAC", *(("cycles (est.)", "per MAC") if estimates else ())):
        table.add_column(title, justify="right")
    for index, layer in enumerate(result.layers):
        named = f"{' + '.join(layer.operators)} ({layer.kernel})"
        cells = [f"{layer.counts:,}", f"{layer.macs:,}", _ratio(layer.counts, layer.macs)]
        if estimates:
            cycles = estimates[index].with_flash("kind")
            cells += [f"{cycles:,}", _ratio(cycles, layer.macs)]
        table.add_row(named, *cells)
    rest = (result.counts_median or 0) - sum(layer.counts for layer in result.layers)
    last = [f"{rest:,}", "", ""]
    if result.cycles is not None and result.cycles.rest is not None:
        last += [f"{result.cycles.rest.with_flash('kind'):,}", ""]
    table.add_row("rows in, tail, packing", *last)
    return table


def _ratio(counts: int, macs: int) -> str:
    return f"{counts / macs:.2f}" if macs else ""


def _cycle_rows(result: BenchResult) -> list[tuple[str, str]]:
    """The estimate: core, and with two readings of the flash."""
    cycles = result.cycles
    if cycles is None:
        return []
    total, macs = cycles.total, result.macs
    core = f"{total.core_min:,} to {total.core_max:,} in the core"
    rows = [("cycles, estimate", f"{core}, {_ratio(total.core, macs)} per MAC without waiting for flash")]
    parts = [
        f"{name} {total.with_flash(name):,}, {_ratio(total.with_flash(name), macs)} per MAC, "
        f"{1e3 * total.with_flash(name) / cycles.clock_hz:.2f} ms"
        for name in ("kind", "harsh")
    ]
    rows.append(
        (f"with flash of {cycles.flash_of}", "; ".join(parts) + f" at {cycles.clock_hz / 1e6:.0f} MHz")
    )
    return rows


def _compare(results: list[BenchResult]) -> None:
    """One line an engine."""
    from rich.table import Table

    from semflash.console import console

    table = Table(box=None, pad_edge=False)
    for title in ("engine", results[0].counter, "per MAC", "RAM encoder B", "flash encoder B", "codes"):
        table.add_column(title, justify="left" if title == "engine" else "right")
    for result in results:
        right = result.codes_checked - result.codes_wrong
        table.add_row(
            result.engine,
            _number(result.counts_median),
            "" if result.counts_per_mac is None else f"{result.counts_per_mac:.2f}",
            _number(result.encoder_ram_bytes),
            _number(result.encoder_flash_bytes),
            f"{right}/{result.codes_checked}",
        )
    console(highlight=False).print(table)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _rows(result: BenchResult) -> list[tuple[str, str]]:
    """Lines of the table."""
    rows = [
        ("bundle", f"{result.bundle_name} {result.bundle_hash[:8]}, {result.payload_bytes} bytes per image"),
        ("board", f"{result.board}, {result.engine}, CMSIS-NN {result.cmsis_nn}, build {result.build_id}"),
        ("MACs", f"{result.macs:,}"),
    ]
    if result.counts_median is not None and result.counts_per_mac is not None:
        spread = f"{result.counts_min:,} to {result.counts_max:,}"
        per_mac = f"{result.counts_per_mac:.2f} per MAC"
        rows.append((result.counter, f"{result.counts_median:,} per image ({spread}), {per_mac}"))
    else:
        rows.append(("time", f"{result.host_seconds_per_image * 1e3:.2f} ms per image on this computer"))
    rows += _cycle_rows(result)
    stack = "unknown" if result.stack_bytes is None else f"{result.stack_bytes:,} B"
    rows.append(
        ("RAM", f"encoder {result.state_bytes:,} B (tensors {result.arena_bytes:,} B), stack {stack}")
    )
    if result.sizes is not None:
        sizes = result.sizes
        rows.append(("RAM, whole", f"{sizes.ram_static:,} B static, link buffers included"))
        rows.append(("flash", f"{sizes.flash:,} B: code {sizes.code:,}, tables {sizes.tables:,}"))
    memory = result.memory
    if memory is not None:
        alone = "" if result.encoder_stack_bytes is None else f" + stack {result.encoder_stack_bytes:,} B"
        rows.append(
            ("RAM, encoder", f"state {memory.encoder_ram:,} B{alone}; payload {memory.payload_ram:,} B")
        )
        parts = f"code {memory.encoder_code:,}, tables {memory.encoder_tables:,}, tail {memory.tail_tables:,}"
        file = f", model file {memory.model_file:,}" if memory.model_file else ""
        rows.append(("flash, encoder", f"{parts}{file}; C library {memory.library_flash:,}"))
    right = result.codes_checked - result.codes_wrong
    rows.append(("codes", f"{right} of {result.codes_checked} images equal {result.reference}"))
    return rows
