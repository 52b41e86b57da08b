"""semflash flash: put built firmware on a board; on the emulated one this (re)starts the emulator."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from semflash.cli import build_options, link_options

if TYPE_CHECKING:
    from semflash.firmware.building.result import BuildResult
    from semflash.settings import Settings

HELP = "put built firmware on a board"
EPILOG = """examples:
  semflash flash fashion-mnist-48                      # what build/fashion-mnist-48-qemu-stm32f405 holds
  semflash flash --out build/mine --board nucleo_f446re
  semflash flash my.semcodec --board nucleo_f446re --probe 066AFF485457
  semflash flash my.semcodec --entry desk               # of the hardware map
  semflash flash --stop                                # stop the emulated board

Afterwards the board is asked who it is. The emulated board stays up until it is stopped; flashing again
replaces its firmware. Where two boards fit, nothing is flashed and both are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    from pathlib import Path

    build_options.add_target(parser, build_options.SUBJECT)
    parser.add_argument("--out", type=Path, metavar="DIR", help="build folder (default: build/BUNDLE-BOARD)")
    parser.add_argument("--port", help="serial port of a plugged-in board, where several fit")
    link_options.add_board(parser)
    parser.add_argument("--stop", action="store_true", help="stop the emulated board instead")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Upload, or stop."""
    from semflash.firmware.boards import lock as board_lock
    from semflash.firmware.boards.lock import BoardUser
    from semflash.firmware.probes.flash import flash

    if args.stop:
        from semflash.firmware.emulator import emulator

        name = build_options.board(args, settings).name
        with board_lock.hold(board_lock.emulated_key(name), what="semflash flash --stop"):
            stopped = [name] if emulator.stop(name) else []
        _print({"stopped": stopped}, f"stopped: {name}" if stopped else f"{name} was not running", args.json)
        return 0
    entry = link_options.entry(args)
    built = _built(args, settings)
    done = flash(
        built,
        port=link_options.flash_port(args, settings, built.kind),
        probe=args.probe,
        entry=entry,
        user=BoardUser("semflash flash", args.map),
    )
    where = f", serial port {done.port}" if done.port else " (runs in-process; nothing to upload)"
    facts = {
        "board": done.board,
        "port": done.port,
        "build_id": done.build_id,
        "bundle_hash": done.bundle_hash,
        "probe": done.probe,
        "reset_cause": done.hello.reset_cause if done.hello is not None else None,
    }
    _print(
        facts,
        f"{done.board}: flashed, bundle {done.bundle_hash[:8]}, build {done.build_id}{where}",
        args.json,
    )
    return 0


def _built(args: argparse.Namespace, settings: Settings) -> BuildResult:
    """The build to flash; it must be of the bundle and for the board that were named."""
    from semflash.errors import BuildError
    from semflash.firmware.building.result import BuildResult

    board = build_options.board(args, settings)
    named = build_options.build_dir(args, settings)
    bundle = None
    if args.bundle or named is None:
        bundle = build_options.bundle(args, settings)
    if named is None:
        assert bundle is not None
        named = build_options.usual_dir(settings, bundle, board)
    built = BuildResult.load(named)
    if built.board != board.name and (args.board or args.out is None):
        raise BuildError(
            "this build is for another board",
            value=built.board,
            remedy=f"semflash build ... --board {board.name}",
        )
    if bundle is not None and built.bundle_hash != bundle.hash_hex:
        raise BuildError(
            "this build is of another version of the bundle",
            value=f"built {built.bundle_hash[:8]}, bundle {bundle.hash_hex[:8]}",
            remedy="semflash build again",
        )
    return built


def _print(facts: Mapping[str, object], line: str, as_json: bool) -> None:
    """One result, as JSON or as a line."""
    if as_json:
        import json

        print(json.dumps(facts))
    else:
        print(line)
