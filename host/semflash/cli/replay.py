"""``semflash replay``: a raw recording decoded again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.monitor.replay import Replay

HELP = "decode a raw recording of a line again"
EPILOG = """examples:
  semflash monitor fashion-mnist-48 --ber 0.01 --record-raw run.sfraw
  semflash replay run.sfraw                       # the same labels
  semflash replay run.sfraw --ber 0.05            # the same codes with more injected errors
  semflash replay run.sfraw --assume-ber 0        # a decoder that is told the line is clean

The decoder must be of the bundle that was recorded; another one is refused by its hash.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("file", type=Path, metavar="FILE", help="recording of monitor --record-raw")
    parser.add_argument(
        "--bundle", metavar="BUNDLE", help="bundle folder or name (default: the recorded name)"
    )
    parser.add_argument("--ber", type=float, metavar="B", help="inject this rate instead of the recorded one")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--assume-ber", type=float, metavar="B", help="tell the decoder this BER")
    told.add_argument("--ber-known", action="store_true", help="tell the decoder the injected BER exactly")
    parser.add_argument("--ber-window", type=int, metavar="N", help="pilot bits that the estimate remembers")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Read, decode, sum up."""
    from semflash.bundle import read_bundle
    from semflash.channels.bits import check_rates
    from semflash.link.raw_record import RawReader
    from semflash.monitor.replay import as_dict, recorded_name, replay

    for rate in (args.ber, args.assume_ber):
        if rate is not None:
            check_rates(rate)
    with RawReader(args.file) as reader:
        bundle = read_bundle(args.bundle or recorded_name(reader))
    result = replay(
        bundle,
        args.file,
        ber=args.ber,
        assume_ber=args.assume_ber,
        ber_known=args.ber_known,
        ber_window=first(args.ber_window, settings.monitor.ber_window) or 0,
    )
    if args.json:
        import json

        print(json.dumps(as_dict(result)))
    else:
        _show(result)
    return 0


def _show(result: Replay) -> None:
    accuracy = "-" if result.accuracy is None else f"{result.accuracy:.2%}"
    cut = ", cut off" if result.truncated else ""
    dropped = sum(result.dropped.values())
    print(f"recording   {result.bundle} on {result.board}, {result.seconds:.1f} s{cut}")
    print(f"accuracy    {accuracy} of {result.images:,} images")
    print(f"labels      {result.changed:,} differ from those of the run")
    if result.estimate is not None:
        from semflash.monitor.live.picture import estimate_text

        print(f"bit errors  {estimate_text(result.estimate)}")
    print(f"frames      {result.frames:,} whole, {dropped:,} dropped")
    print(f"codes       {result.damaged:,} damaged, {result.strange:,} of no image")
