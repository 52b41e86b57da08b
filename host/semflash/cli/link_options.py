"""Flags of the link to a board, which flash, monitor and run share, and how they meet the settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.settings import Settings


def baud(text: str) -> int:
    """A line speed, bits per second."""
    if not (text.isdecimal() and 1200 <= int(text) <= 20_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1200 to 20000000")
    return int(text)


def port(args: argparse.Namespace, settings: Settings, kind: str) -> str | None:
    """What --port names, else [link] port for a board of kind "hardware"; None: found from the board."""
    return args.port or (settings.link.port if kind == "hardware" else None)
