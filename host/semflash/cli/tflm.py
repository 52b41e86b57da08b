"""semflash tflm: the tree of TensorFlow Lite Micro that the engine tflm builds from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "make the TensorFlow Lite Micro tree that the engine tflm builds from"
EPILOG = """examples:
  semflash tflm setup                            # fetches the pinned commit and makes the tree
  semflash tflm setup --source ~/tflite-micro    # from a checkout that is here
  semflash run fashion-mnist-48 --engine tflm    # then works as with aot

The tree goes into the cache folder, where every build finds it, or to --out (then name it with --tflm-dir,
SEMFLASH_TFLM_DIR or [build] tflm_dir). TFLM's script needs make, unzip, numpy and Pillow."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("action", choices=("setup",))
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="checkout of tflite-micro (default: fetched)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the tree goes (default: the cache folder)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Make the tree and say what comes next."""
    from semflash.firmware.building.tflm_setup import setup

    del settings
    tree = setup(args.source, args.out, lambda text: print(text, file=sys.stderr, flush=True))
    flag = "" if args.out is None else f" --tflm-dir {args.out}"
    if args.json:
        import json

        print(json.dumps({"tree": str(tree.root)}))
    else:
        print(f"tree     {tree.root}\nnext     semflash run fashion-mnist-48 --engine tflm{flag}")
    return 0
