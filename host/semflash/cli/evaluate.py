"""``semflash evaluate``: what a bundle's output is worth at levels of channel quality."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options, control_options, data_options, quality_options
from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.edge.evaluate import Evaluation

HELP = "measure a bundle's accuracy, mAP or PSNR at given bit error rates or SNRs"
EPILOG = """examples:
  semflash evaluate fashion-mnist-48
  semflash evaluate runs/mine.semcodec --ber 0,0.01,0.05 --limit 1000 --json
  semflash evaluate runs/noise.semcodec --snr 0,5,10     # a bundle that is told an SNR
  semflash evaluate tosc.semcodec --snr=-6,0,6,12,18 --fading rayleigh --state-error=-1
  semflash evaluate fashion-mnist-limitnet --rate 24     # payloads of at most 24 bytes
  semflash evaluate fashion-mnist-limitnet --rate-trace alternating:12,48
  semflash evaluate fashion-mnist-48 --plot accuracy.png --record
  semflash evaluate fashion-mnist-24 fashion-mnist-48 --compare experiments/results --report report.html

Bit errors or noise are injected into the payloads (seeded); no board takes part. --record writes the result
into the bundle's record, which does not change the bundle hash. --compare measures several bundles and puts
results of experiments with the same data set beside them; --report writes what was found as one HTML file
(and .md), --plots as PNG and SVG.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", nargs="*", help="bundle directories, or names of the zoo")
    data_options.add_data_flags(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    quality_options.add_list_flags(parser)
    control_options.add_control_flags(parser)
    control_options.add_fading_flag(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="only N images, as many of each class")
    parser.add_argument("--seed", type=int, help="of the injected errors")
    parser.add_argument("--record", action="store_true", help="write the result into the bundle's record")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="the metric against BER or SNR as .png or .svg"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--compare",
        nargs="*",
        type=Path,
        metavar="RESULTS",
        help="beside results of experiments (files, folders)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR|FILE.html", help="write the comparison as a report"
    )
    parser.add_argument(
        "--task",
        type=Path,
        metavar="DIR",
        help="of --report: run of the task network, whose attention is shown, too",
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write its charts as .png and .svg")
    parser.add_argument(
        "--bench",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="device cost: semflash bench --json",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    from semflash.bundle import read_bundle
    from semflash.edge.evaluate import evaluate, record_measurement
    from semflash.edge.plot import check_plot, plot

    names = args.bundle
    if not names:
        own = settings.build.bundle
        if own is None:
            remedy = "semflash evaluate BUNDLE, or bundle in [build] of semflash.toml"
            raise UsageError("which bundle?", remedy=remedy)
        names = [build_options.own_bundle(own, settings)]
    if args.compare is not None or args.report is not None or args.plots is not None or len(names) > 1:
        from semflash.cli.evaluate_compare import compare

        return compare(names, args, settings)
    if args.task is not None:
        raise UsageError("--task is of a report, which shows its attention", remedy="--report FILE.html")
    name = names[0]
    if args.limit is not None and args.limit < 1:
        raise UsageError("--limit must be at least 1", value=args.limit)
    if args.record and (args.assume_ber, args.assume_snr) != (None, None):
        raise UsageError("--record takes no wrong estimate", remedy="leave out --assume-...")
    rated = any(given is not None for given in (args.rate, args.rate_trace, args.alpha))
    if args.record and (args.control or args.state is not None or args.state_error or rated):
        remedy = "leave out --control, --rate, --rate-trace, --alpha, --state and --state-error"
        raise UsageError("--record takes no controls but those that belong to the levels", remedy=remedy)
    if args.plot is not None:
        check_plot(args.plot)
    table = settings.evaluate
    bundle = read_bundle(name)
    levels = quality_options.levels(bundle, args, table)
    rates = control_options.rate_trace(bundle, args)
    usual = None if args.record or rates is not None else table.rate
    controls = control_options.fixed(bundle, args, usual)
    dataset = data_options.load(bundle, args, table)
    result = evaluate(
        bundle,
        dataset,
        levels,
        seed=first(args.seed, table.seed) or 0,
        limit=first(args.limit, table.count),
        sample_seed=first(args.sample_seed, table.sample_seed) or 0,
        split=args.split,
        told=quality_options.told(bundle, args, None),
        fading=control_options.fading(args),
        controls=controls,
        state_error=args.state_error,
        rate_trace=rates,
    )
    if args.record:
        record_measurement(bundle, result)
    if args.plot is not None:
        plot([result], args.plot)
    print(json.dumps(result.as_json())) if args.json else _print_table(result)
    return 0


def _print_table(result: Evaluation) -> None:
    from rich.table import Table

    from semflash.console import console as make_console
    from semflash.printable import plain

    measured, quality = result.measurement, result.quality
    sample = ""
    if measured.sample_seed is not None:
        sample = f"; a sample, as many of each class, seed {measured.sample_seed}"
    console = make_console(highlight=False)
    console.print(
        f"{result.bundle}: {measured.images:,} images of {measured.dataset} ({measured.split}{sample}), "
        f"{'at most ' * result.varies}{result.payload_bytes} bytes each, "
        f"{quality.damage} injected (seed {measured.seed})"
        + (f", {result.fading.words}" if result.fading else "")
        + (f", states wrong by {result.state_error:+d}" if result.state_error else "")
        + (f", rates {result.rate_trace.name}" if result.rate_trace is not None else ""),
        soft_wrap=True,
    )
    table = Table()
    table.add_column(f"{quality.short}, dB" if quality.unit == "dB" else quality.short, justify="right")
    names = result.control_names
    for name in names:
        table.add_column(name, justify="right")
    if result.varies:
        table.add_column("bytes, mean", justify="right")
        table.add_column("most", justify="right")
    unsure = any(result.inconsistent.values())
    if unsure:
        table.add_column("inconsistent", justify="right")
    beside = len(measured.metrics) > 2  # so many pictures' figures that their intervals are left to --json
    for number, metric in enumerate(measured.metrics):
        table.add_column(metric.title, justify="right")
        if not (beside and number):
            table.add_column("95 % interval", justify="right")
    if result.task_value is not None:
        before = [""] * (len(names) + 2 * result.varies + unsure)
        table.add_row("uncompressed", *before, measured.metric.text(result.task_value))
    for point in measured.points:
        cells = [str(result.controls[point.level][name]) for name in names]
        if result.varies:
            mean, most = result.sizes[point.level]
            cells += [plain(mean), str(most)]
        cells += [f"{result.inconsistent[point.level]:,}"] * unsure
        for number, (metric, score) in enumerate(zip(measured.metrics, point.scores, strict=True)):
            cells.append(metric.text(score.value))
            if not (beside and number):
                cells.append(f"{metric.text(score.low)} .. {metric.text(score.high)}")
        table.add_row(plain(point.level), *cells)
    console.print(table)
