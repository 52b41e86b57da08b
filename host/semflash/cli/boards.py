"""semflash boards: what boards there are, which are attached, and how to stop an emulated one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.firmware.inventory import BoardStatus
    from semflash.settings import Settings

HELP = "list the boards, or stop an emulated one"
EPILOG = """examples:
  semflash boards
  semflash boards --json
  semflash boards --stop                   # stop every emulated board
  semflash boards --stop qemu-stm32f405"""

_ALL = "*"
_WIDE = 76  # columns that the whole table needs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.add_argument(
        "--stop",
        nargs="?",
        const=_ALL,
        metavar="NAME",
        help="stop an emulated board (without NAME: all of them)",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the table, or stop boards."""
    if args.stop is not None:
        return _stop(args.stop, as_json=args.json)

    from semflash.firmware.inventory import inventory

    boards = inventory()
    if args.json:
        import msgspec

        print(msgspec.json.encode({"boards": boards}).decode())
    else:
        _print(boards)
    return 0


def _stop(name: str, *, as_json: bool) -> int:
    """Stop one board or all; stopping what does not run is no error."""
    from semflash.firmware import emulator
    from semflash.firmware.boards import load_board

    if name == _ALL:
        stopped = emulator.stop_all()
    else:
        board = load_board(name).name
        stopped = [board] if emulator.stop(board) else []
    if as_json:
        import msgspec

        print(msgspec.json.encode({"stopped": stopped}).decode())
    else:
        print(f"stopped: {', '.join(stopped)}" if stopped else "no emulated board was running")
    return 0


def _print(boards: list[BoardStatus]) -> None:
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    headings = ["board", "attached", "bundle", "flash", "RAM", "clock", "kind"]
    if console.width < _WIDE:
        del headings[-2:]  # rather than cut names and ports short
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        right = heading in ("clock", "flash", "RAM")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for board in boards:
        cells = {
            "board": board.name,
            "attached": ", ".join(board.ports) or ("yes" if board.attached else "no"),
            "bundle": board.bundle_hash[:8] or "-",
            "flash": f"{board.flash_bytes // 1024} KiB" if board.flash_bytes else "-",
            "RAM": f"{board.ram_bytes // 1024} KiB" if board.ram_bytes else "-",
            "clock": f"{board.clock_hz / 1e6:.0f} MHz" if board.clock_hz else "-",
            "kind": board.kind,
        }
        table.add_row(*(cells[heading] for heading in headings))
    console.print(table)
