"""semflash library: a bundle's encoder as a library for one's own firmware."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "make a library of a bundle's encoder for firmware of your own"
EPILOG = """examples:
  semflash library fashion-mnist-48 --format platformio
  semflash library my.semcodec --format cmake --out vendor/my_encoder
  semflash library my.semcodec --format arduino --kernels reference
  semflash library my.semcodec --format zephyr --board nucleo_h743zi

The folder is self-contained: device runtime, model, the kernels that it needs, an example, licences. --board
says into whose flash and RAM the model must fit."""

_FORMATS = ("platformio", "cmake", "arduino", "zephyr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    build_options.add_target(parser)
    parser.add_argument("--format", choices=_FORMATS, required=True, help="build system that it is for")
    build_options.add_build(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Make it and say what it costs."""
    from semflash.bundle.reader import read_bundle
    from semflash.firmware.library.library import make_library

    bundle = read_bundle(build_options.bundle_name(args, settings))
    board = build_options.board(args, settings)
    out = args.out or Path("libraries") / f"{bundle.name}-{args.format}"
    made = make_library(bundle, board, build_options.options(args, settings), args.format, out)
    if args.json:
        import json

        print(json.dumps(dataclasses.asdict(made)))
        return 0
    print(f"library  {made.directory}  ({made.name}, {made.files} files, {made.engine})")
    print(f"RAM      {made.state_bytes:,} B of the encoder, beside its stack")
    print(f"flash    {made.flash_bytes:,} B of weights and tables, beside the code")
    print(f"next     read {Path(made.directory) / 'README.md'}")
    return 0
