"""Flags of the link to a board, which flash, monitor and run share, and how they meet the settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.errors import UsageError

if TYPE_CHECKING:
    from semflash.firmware.boards.descriptions import Board
    from semflash.firmware.boards.hardware_map import MapEntry
    from semflash.settings import Settings


def baud(text: str) -> int:
    """A line speed, bits per second."""
    if not (text.isdecimal() and 1200 <= int(text) <= 20_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1200 to 20000000")
    return int(text)


def add_board(parser: argparse.ArgumentParser) -> None:
    """--probe and --entry: which of several boards of one kind."""
    parser.add_argument(
        "--probe", metavar="SERIAL", help="debug probe of the board, where several are plugged in"
    )
    parser.add_argument("--entry", metavar="NAME", help="the board's entry in the hardware map")
    parser.add_argument(
        "--map", type=Path, metavar="FILE", help="hardware map (default: semflash-boards.toml)"
    )


def entry(args: argparse.Namespace) -> MapEntry | None:
    """What --entry names; it says which board is meant, so --board can be left out.

    Raises:
        UsageError: there is no map, or it has no such entry.
    """
    from semflash.firmware.boards.hardware_map import FILE_NAME, find_map, read_map

    if args.entry is None:
        return None
    path = args.map or find_map()
    if path is None:
        raise UsageError(
            "there is no hardware map", value=FILE_NAME, remedy="semflash boards --scan writes one"
        )
    found = read_map(path).get(args.entry)
    args.board = args.board or found.board
    return found


def find_port(
    board: Board, args: argparse.Namespace, named: str | None, entry: MapEntry | None
) -> str | None:
    """The port of a plugged-in board: the one that is named, else that of its probe; None: of another kind.

    Raises:
        DeviceError: Several fit.
        VerdictError: None does.
    """
    if board.kind != "hardware" and args.probe is not None:
        raise UsageError(
            f"board '{board.name}' has no debug probe", value=args.probe, remedy="leave --probe out"
        )
    if board.kind != "hardware" or named is not None:
        return named
    from semflash.firmware.boards.hardware_map import read_map
    from semflash.firmware.probes.probes import choose

    known = read_map(args.map) if args.map is not None else None
    return choose(board, probe=args.probe, entry=entry, hardware_map=known).port


def flash_port(args: argparse.Namespace, settings: Settings, kind: str) -> str | None:
    """As :func:`port`, but [link] port does not count where --probe or --entry say which board is meant."""
    return args.port if args.probe or args.entry else port(args, settings, kind)


def port(args: argparse.Namespace, settings: Settings, kind: str) -> str | None:
    """What --port names, else [link] port for a board of kind "hardware"; None: found from the board."""
    return args.port or (settings.link.port if kind == "hardware" else None)
