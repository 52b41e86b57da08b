"""semflash run: build, flash, monitor."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from semflash.cli import build_options, monitor

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "build, flash and monitor in one go"
EPILOG = """examples:
  semflash run fashion-mnist-48
  semflash run fashion-mnist-48 --ber 0.01 --count 1000 --check-golden
  semflash run my.semcodec --board nucleo_f446re --port /dev/ttyACM0

An emulated board stays up afterwards: semflash monitor attaches again, semflash boards --stop ends it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All flags of monitor, and those of build."""
    monitor.add_arguments(parser)
    build_options.add_build(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build, flash, then what monitor does. What came before goes to stderr where stdout is JSON."""
    from semflash.cli.build import show
    from semflash.firmware.flash import flash

    built = build_options.build(args, settings)
    as_json = bool(getattr(args, "json", False))
    if not as_json:
        show(built)
    hardware = built.kind == "hardware"
    done = flash(built, port=(args.port or settings.link.port) if hardware else None)
    if not as_json:
        print(f"flashed     {done.board}" + (f", serial port {done.port}" if done.port else ""))
        sys.stdout.flush()
    return monitor.run(args, settings)
