"""A device that follows a channel which changes, against one that knows it and ones that stay as they are.

    python experiments/changing_channel.py BUNDLE --seeds 0,1,2 > changing.json
    python experiments/changing_channel.py BUNDLE --shapes walk,image --fading rayleigh --delay 4

Traces of levels (semflash.channels.trace): steady, a slow random walk, another level at every second image,
at every image. Ways to set the controls: auto (estimate from pilots, hysteresis, at most once in 16 images),
genie (each image's level is known beforehand), and fixed values. All ways meet the same noise. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semflash.bundle.reader import Bundle, read_bundle
from semflash.channels.fading import Fading
from semflash.channels.trace import SHAPES, make_trace
from semflash.edge.bundle_data import bundle_dataset
from semflash.edge.evaluate_trace import Line, Mode, evaluate_trace
from semflash.edge.following import followed
from semflash.errors import SemflashError
from semflash.program.quality import KINDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        print(json.dumps(run(args), indent=1))
    except SemflashError as error:
        print(f"changing_channel: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="bundle directory, or a name of the zoo")
    parser.add_argument("--dataset", help="instead of the bundle's own")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--count", type=int, default=2000, help="of images (default 2000)")
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)} (default: all)")
    parser.add_argument("--low", type=float, help="least level (default: that of the training)")
    parser.add_argument("--high", type=float, help="largest level (default: that of the training)")
    parser.add_argument(
        "--modes", help="auto, genie and values (default: auto,genie, both ends and the middle)"
    )
    parser.add_argument("--seeds", default="0", help="of traces and noise (default 0)")
    parser.add_argument("--delay", type=int, default=1, help="images on their way (default 1)")
    parser.add_argument("--window", type=int, help="pilot bits that the estimate remembers")
    parser.add_argument("--pilot-bytes", type=int, default=4)
    parser.add_argument("--fading", default="none", help="none or rayleigh[:BLOCK]")
    return parser


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All traces, ways and seeds.

    Raises:
        SemflashError: as :func:`semflash.edge.evaluate_trace.evaluate_trace`.
    """
    bundle = read_bundle(args.bundle)
    data = bundle_dataset(bundle, args.dataset, data_dir=args.data_dir)
    modes, fading = _modes(args.modes, bundle), Fading.parse(args.fading)
    low = bundle.quality.low if args.low is None else args.low
    high = bundle.quality.high if args.high is None else args.high
    rows = []
    for shape in args.shapes.split(","):
        for seed in map(int, args.seeds.split(",")):
            trace = make_trace(shape, args.count, low, high, KINDS[bundle.quality.name], seed=seed)
            line = Line(args.pilot_bytes, args.window, args.delay, fading, seed)
            found = evaluate_trace(bundle, data, trace, modes, line=line, count=args.count, split=args.split)
            rows += [{"shape": shape, "seed": seed, **one.as_json()} for one in found]
    return {
        "bundle": bundle.name,
        "hash": bundle.hash_hex,
        "split": args.split,
        "images": args.count,
        "quality": bundle.quality.name,
        "metric": bundle.output.metric.name,
        "low": low,
        "high": high,
        "delay": args.delay,
        "pilot_bytes": args.pilot_bytes,
        "window": args.window or bundle.quality.window_bits,
        "fading": str(fading),
        "rows": rows,
    }


def _modes(text: str | None, bundle: Bundle) -> list[Mode]:
    """The ways that are asked for."""
    if text is None:
        (control, *_) = followed(bundle.program.controls) or bundle.program.controls
        return ["auto", "genie", control.low, (control.low + control.high) // 2, control.high]
    words: dict[str, Mode] = {"auto": "auto", "genie": "genie"}
    return [words[word] if word in words else int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
