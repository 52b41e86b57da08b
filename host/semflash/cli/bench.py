"""semflash bench: what a bundle costs on a board."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from semflash.cli import build_options

if TYPE_CHECKING:
    from semflash.edge.bench import BenchResult
    from semflash.firmware.build_result import BuildResult
    from semflash.settings import Settings

HELP = "measure instructions, RAM and flash of a bundle on a board"
EPILOG = """examples:
  semflash bench fashion-mnist-48
  semflash bench my.semcodec --board native --images 1000 --json

The emulator counts instructions, a real core counts cycles, native counts nothing. Every code is compared
with the golden reference; exit code 1 where one differs. On an emulated board an instance of its own is
measured; one that runs already is left alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    build_options.add_target(parser)
    build_options.add_build(parser)
    parser.add_argument("--images", type=_count, default=20, metavar="N", help="images to run (default: 20)")
    parser.add_argument("--seed", type=_seed, default=0, help="of the noise images (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build, flash, measure; 1 where a code is wrong."""
    from semflash.bundle.reader import read_bundle
    from semflash.edge.bench import bench

    bundle = read_bundle(build_options.bundle_name(args, settings))
    built = build_options.build(args, settings)
    with _flashed(built) as instance:
        result = bench(
            bundle,
            built,
            count=args.images,
            seed=args.seed,
            timeout_s=settings.link.timeout_s,
            instance=instance,
        )
    if args.json:
        import msgspec

        print(msgspec.json.encode(result).decode())
    else:
        _show(result)
    return 1 if result.codes_wrong else 0


@contextmanager
def _flashed(built: BuildResult) -> Iterator[str]:
    """The name of a board that runs `built`; an emulated one is an instance of its own."""
    if built.kind != "emulated":
        from semflash.firmware.flash import flash

        yield flash(built).board
        return
    from semflash.firmware import emulator

    instance = f"bench-{os.getpid()}"
    try:
        emulator.start_build(built, instance=instance)
        yield instance
    finally:
        emulator.discard(instance)


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
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for what, value in _rows(result):
        table.add_row(what, value)
    Console(highlight=False).print(table)


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
    stack = "unknown" if result.stack_bytes is None else f"{result.stack_bytes:,} B"
    rows.append(
        ("RAM", f"encoder {result.state_bytes:,} B (tensors {result.arena_bytes:,} B), stack {stack}")
    )
    if result.sizes is not None:
        sizes = result.sizes
        rows.append(("RAM, whole", f"{sizes.ram_static:,} B static, link buffers included"))
        rows.append(("flash", f"{sizes.flash:,} B: code {sizes.code:,}, tables {sizes.tables:,}"))
    right = result.codes_checked - result.codes_wrong
    rows.append(("codes", f"{right} of {result.codes_checked} images equal the golden reference"))
    return rows
