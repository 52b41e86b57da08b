"""semflash run: build, flash, monitor."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options, link_options, monitor
from semflash.errors import UsageError

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "build, flash and monitor in one go"
EPILOG = """examples:
  semflash run fashion-mnist-48
  semflash run fashion-mnist-48 --ber 0.01 --count 1000 --check-golden
  semflash run my.semcodec --board nucleo_f446re --port /dev/ttyACM0
  semflash run network.tflite --input images.npy --check-golden     # any int8 network, without a codec

A .tflite file has no labels: its output values are shown. What goes in is --input (a .npy file of int8 codes,
uint8 codes, or real numbers, which are quantised here), or --count noise images (default 3) by --seed.
An emulated board stays up afterwards: semflash monitor attaches again, semflash boards --stop ends it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of build and those of monitor."""
    build_options.add_target(parser, build_options.SUBJECT)
    build_options.add_build(parser)
    monitor.add_monitor_flags(parser)
    monitor.add_output_flags(parser)
    link_options.add_board(parser)
    parser.add_argument("--input", type=Path, metavar="FILE", help="inputs of a .tflite file, .npy")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build, flash, then what monitor does; flags and images are checked first."""
    from semflash.bundle import read_bundle
    from semflash.cli import model_run
    from semflash.cli.build import show
    from semflash.firmware.boards.lock import BoardUser
    from semflash.firmware.probes.flash import flash

    if build_options.is_model(build_options.bundle_name(args, settings)):
        return model_run.run(args, settings)
    if args.input is not None:
        raise UsageError("--input is for .tflite files", remedy="--dataset names a bundle's images")
    entry = link_options.entry(args)
    bundle = read_bundle(build_options.bundle_name(args, settings))
    work = monitor.prepare(bundle, args, settings)
    built = build_options.build(args, settings)
    if not (args.json or args.jsonl):
        show(built)
    user = BoardUser("semflash run", args.map)
    with ExitStack() as flashed:  # nobody takes the board between flash and monitor
        done = flash(
            built,
            port=link_options.flash_port(args, settings, built.kind),
            probe=args.probe,
            entry=entry,
            user=user,
            keep=flashed,
        )
        if not (args.json or args.jsonl):
            where = f", serial port {done.port}" if done.port else ""
            print(f"flashed     {done.board}{where}", flush=True)
        folder = Path(built.directory)
        return monitor.run_on_board(
            bundle, work, args, settings, user, build_dir=folder, port=done.port, flashed=flashed
        )
