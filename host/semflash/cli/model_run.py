"""`semflash run` of a .tflite file: build, flash, and what the network computes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from semflash.cli import build_options, link_options
from semflash.errors import UsageError
from semflash.settings import first

if TYPE_CHECKING:
    from rich.table import Table

    from semflash.bench.bare_run import BareRun, End, Outcome
    from semflash.settings import Settings

COUNT = 3  # noise inputs where nobody says how many
_COUNT_MAX = 100_000
_WHOLE = 12  # an output of so many values is shown in full
_LARGEST = 5
#: Flags of `run` that speak of labels, payloads or a decoder.
_NOT_HERE = (
    "ber",
    "snr",
    "assume_ber",
    "assume_snr",
    "ber_known",
    "ber_window",
    "dataset",
    "data_dir",
    "skip_bad",
    "sample_seed",
    "loop",
    "reconnect",
    "control",
    "fault",
    "fault_log",
    "record",
    "record_raw",
    "jsonl",
    "port",
    "baud",
)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build, flash, send, show; 1 where an output differs from the reference (--check-golden).

    Raises:
        UsageError: a flag that a bare model has no use for.
        DatasetError: the inputs cannot be read.
        BuildError, ModelError, DeviceError, LinkError: as build and bench.
    """
    from semflash.bench.bare_run import difference, model_ends, noise_inputs, read_inputs, run_bare
    from semflash.cli.build import show
    from semflash.firmware.boards.lock import BoardUser
    from semflash.firmware.building.firmware import build_bundle
    from semflash.firmware.probes.flash import flash

    check_flags(args)
    entry = link_options.entry(args)
    bundle = build_options.bundle(args, settings)
    source, _ = model_ends(bundle)
    if args.input is not None:
        inputs = read_inputs(args.input, source)
    else:
        inputs = noise_inputs(bundle, _count(args.count), first(args.seed, settings.monitor.seed) or 0)
    built = build_bundle(bundle, build_options.board(args, settings), build_options.options(args, settings))
    if not args.json:
        show(built)
    flash(built, probe=args.probe, entry=entry, user=BoardUser("semflash run", args.map))
    timeout_s = first(args.timeout, settings.link.timeout_s) or 0.0
    result = run_bare(bundle, built, inputs, timeout_s=timeout_s, check=bool(args.check_golden))
    _print(result, as_json=args.json)
    error = difference(result)
    if error is not None:
        raise error
    return 0


def check_flags(args: argparse.Namespace) -> None:
    """Refuse flags of monitor that make no sense without a decoder.

    Raises:
        UsageError: one is given.
    """
    for name in _NOT_HERE:
        if getattr(args, name, None) not in (None, False):
            raise UsageError(
                f"--{name.replace('_', '-')} is for bundles: a .tflite file has no decoder",
                remedy="leave it out; --input FILE.npy, --count and --seed say what goes in",
            )
    if args.input is not None and args.count is not None:
        raise UsageError("--input and --count exclude each other", remedy="name one")


def _count(given: int | None) -> int:
    """How many noise inputs."""
    if given is not None and not 1 <= given <= _COUNT_MAX:
        raise UsageError(f"--count of a .tflite file is 1 to {_COUNT_MAX:,}", value=given, remedy="--count 3")
    return COUNT if given is None else given


def _print(result: BareRun, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        print(msgspec.json.encode(result).decode())
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"output      {shape_text(result.output)}, {result.engine} on {result.board}")
    console.print(_table(result))
    if result.reference:
        right = len(result.outcomes) - result.wrong
        console.print(f"checked     {right} of {len(result.outcomes)} outputs equal {result.reference}")


def shape_text(end: End) -> str:
    """Shape and quantisation of an end.

    >>> from semflash.bench.bare_run import End
    >>> shape_text(End((1, 1, 10), 0.00390625, -128))
    '10 values, real = 0.00390625 (q + 128)'
    """
    sign = "-" if end.zero_point >= 0 else "+"
    sides = [str(n) for i, n in enumerate(end.shape) if any(m > 1 for m in end.shape[: i + 1])] or ["1"]
    shape = " x ".join(sides)
    return f"{shape} values, real = {end.scale:.6g} (q {sign} {abs(end.zero_point)})"


def _table(result: BareRun) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("input", justify="right")
    table.add_column("values" if len(result.outcomes[0].values) <= _WHOLE else "largest values")
    counted = result.counter != "none"
    if counted:
        table.add_column(result.counter, justify="right")
    for outcome in result.outcomes:
        cells = [str(outcome.index), values_text(outcome, result.output)]
        table.add_row(*cells, *([f"{outcome.count:,}"] if counted and outcome.count is not None else []))
    return table


def values_text(outcome: Outcome, end: End) -> str:
    """All values as real numbers, or the largest of many with their positions.

    >>> from semflash.bench.bare_run import End, Outcome
    >>> values_text(Outcome(0, [2, -4], None, None), End((2,), 0.5, 0))
    '1  -2'
    >>> values_text(Outcome(0, list(range(20)), None, None), End((4, 5), 0.5, 0))
    '[3,4] 9.5  [3,3] 9  [3,2] 8.5  [3,1] 8  [3,0] 7.5'
    """
    import numpy as np

    reals = [end.scale * (value - end.zero_point) for value in outcome.values]
    if len(reals) <= _WHOLE:
        return "  ".join(f"{real:.4g}" for real in reals)
    order = sorted(range(len(reals)), key=lambda i: -reals[i])[:_LARGEST]
    positions = [np.unravel_index(i, end.shape) for i in order]
    places = [",".join(str(int(axis)) for axis in position) for position in positions]
    return "  ".join(f"[{place}] {reals[i]:.4g}" for place, i in zip(places, order, strict=True))
