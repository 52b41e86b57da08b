"""``semflash replay``: a raw recording decoded again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import control_options, data_options, quality_options
from semflash.errors import UsageError
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.monitor.replay import Replay
    from semflash.program.quality import Quality

HELP = "decode a raw recording of a line again"
EPILOG = """examples:
  semflash monitor fashion-mnist-48 --ber 0.01 --record-raw run.sfraw
  semflash replay run.sfraw                       # the same labels
  semflash replay run.sfraw --ber 0.05            # the same codes with more injected errors
  semflash replay run.sfraw --assume-ber 0        # a decoder that is told the line is clean
  semflash replay run.sfraw --fading none         # the same noise without the run's fading
  semflash replay run.sfraw --pictures            # PSNR and SSIM of pictures beside the labels, too

The decoder must be of the bundle that was recorded; another one is refused by its hash.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("file", type=Path, metavar="FILE", help="recording of monitor --record-raw")
    parser.add_argument(
        "--bundle", metavar="BUNDLE", help="bundle folder or name (default: the recorded name)"
    )
    quality_options.add_level_flags(parser)
    quality_options.add_told_flags(parser)
    control_options.add_fading_flag(parser)
    data_options.add_data_flags(parser)
    parser.add_argument(
        "--pictures", action="store_true", help="compare pictures with the images of the run's data set"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Read, decode, sum up."""
    from semflash.bundle import read_bundle
    from semflash.channels.of_quality import channel_of
    from semflash.link.raw_record import RawReader
    from semflash.monitor.replay import as_dict, recorded_name, replay

    with RawReader(args.file) as reader:
        bundle = read_bundle(args.bundle or recorded_name(reader))
    level, assumed = (find(bundle, args, None) for find in (quality_options.level, quality_options.told))
    for given in (level, assumed):
        if given is not None:
            channel_of(bundle.quality).check(given)
    if args.pictures and bundle.picture is None:
        raise UsageError(
            f"bundle {bundle.name} gives no pictures beside its labels", remedy="leave --pictures out"
        )
    split = data_options.load(bundle, args, settings.monitor).test if args.pictures else None
    result = replay(
        bundle,
        args.file,
        level=level,
        assumed=assumed,
        known=bool(args.ber_known),
        window=first(args.ber_window, settings.monitor.ber_window),
        fading=None if args.fading is None else control_options.fading(args),
        split=split,
    )
    if args.json:
        import json

        print(json.dumps(as_dict(result)))
    else:
        _show(result, bundle.quality)
    return 0


def _show(result: Replay, quality: Quality) -> None:
    from semflash.outputs.pictured import PICTURE_METRICS
    from semflash.printable import plain

    accuracy = "-" if result.accuracy is None else f"{result.accuracy:.2%}"
    cut = ", cut off" if result.truncated else ""
    dropped = sum(result.dropped.values())
    print(f"recording   {result.bundle} on {result.board}, {result.seconds:.1f} s{cut}")
    print(f"accuracy    {accuracy} of {result.images:,} images")
    print(f"labels      {result.changed:,} differ from those of the run")
    for metric in PICTURE_METRICS:
        if metric.name in result.figures:
            print(f"picture     {metric.title} {metric.text(result.figures[metric.name])}")
    if result.payload_bytes_mean is not None:
        over = f", {result.over_rate:,} above what was told" if result.over_rate else ""
        longest = f"the longest {result.payload_bytes_most}{over}"
        print(f"payload     {plain(result.payload_bytes_mean)} bytes, {longest}")
    if result.estimate is not None:
        from semflash.monitor.live.picture import estimate_text

        print(f"{quality.damage:<11} {estimate_text(result.estimate, quality)}")
    for name, counts in result.controls.items():
        print(f"{name:<11} " + ", ".join(f"{value}: {count:,}" for value, count in sorted(counts.items())))
    print(f"frames      {result.frames:,} whole, {dropped:,} dropped")
    print(f"codes       {result.damaged:,} damaged, {result.strange:,} of no image")
