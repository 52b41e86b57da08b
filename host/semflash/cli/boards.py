"""semflash boards: what boards there are, which are attached, and how to stop an emulated one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.firmware.boards.inventory import BoardStatus
    from semflash.settings import Settings

HELP = "list the boards, find them, add one, or stop an emulated one"
EPILOG = """examples:
  semflash boards
  semflash boards --json
  semflash boards --scan                   # find debug probes, write them into the hardware map
  semflash boards --scan --map desk.toml
  semflash boards add my_board --like nucleo_l476rg --mcu stm32l452re   # asks for the rest
  semflash boards --stop                   # stop every emulated board
  semflash boards --stop qemu-stm32f405"""

_ALL = "*"
_WIDE = 76  # columns that the whole table needs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    from semflash.cli import boards_add

    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.add_argument(
        "--scan", action="store_true", help="find debug probes and bring the hardware map up to date"
    )
    parser.add_argument(
        "--map", type=Path, metavar="FILE", help="hardware map (default: semflash-boards.toml, found upward)"
    )
    boards_add.add_arguments(parser)
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
    if args.scan:
        return _scan(args.map, as_json=args.json)
    if args.action is not None:
        from semflash.cli import boards_add

        return boards_add.run(args)

    from semflash.firmware.boards.inventory import inventory

    boards = inventory()
    if args.json:
        import msgspec

        print(msgspec.json.encode({"boards": boards}).decode())
    else:
        _print(boards)
    return 0


def _stop(name: str, *, as_json: bool) -> int:
    """Stop one board or all; stopping what does not run is no error.

    Raises:
        BoardBusyError: another job uses one; the others are stopped.
    """
    from semflash.firmware.boards import lock as board_lock
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.emulator import emulator, state

    names = [run.board for run in state.running()] if name == _ALL else [load_board(name).name]
    stopped, busy = [], None
    for board in names:
        try:
            with board_lock.hold(board_lock.emulated_key(board), what="semflash boards --stop"):
                stopped += [board] if emulator.stop(board) else []
        except board_lock.BoardBusyError as error:
            busy = error
    if busy is not None and not stopped:
        raise busy
    if as_json:
        import msgspec

        print(msgspec.json.encode({"stopped": stopped}).decode())
    else:
        print(f"stopped: {', '.join(stopped)}" if stopped else "no emulated board was running")
    if busy is not None:
        raise busy
    return 0


def _scan(named: Path | None, *, as_json: bool) -> int:
    """Bring the map up to date and say what changed."""
    import msgspec

    from semflash.firmware.boards.hardware_map import FILE_NAME, UNKNOWN_BOARD, find_map, read_map, update_map
    from semflash.firmware.probes import probes

    path = named or find_map() or Path(FILE_NAME)
    report = update_map(path, probes.scan())
    entries = read_map(path).entries
    if as_json:
        body = {"map": str(path), "report": report, "boards": entries}
        print(msgspec.json.encode(body).decode())
        return 0
    for word in ("added", "moved", "present", "gone"):
        for entry in (entry for entry in entries if entry.name in getattr(report, word)):
            print(f"{word:8} {entry.name}: {entry.board}, probe {entry.probe}, {entry.port}")
    for entry in (entry for entry in entries if entry.probe is None):
        print(f"{'listed':8} {entry.name}: {entry.board}, without a probe")
    for port in report.unnumbered:
        print(f"skipped  {port}: its probe has no serial number, so a map cannot name it")
    for port in report.shared:
        print(f"skipped  {port}: two probes have its serial number, so a map cannot tell them apart")
    incomplete = [entry.name for entry in entries if entry.board == UNKNOWN_BOARD]
    if incomplete:
        print(
            f"to complete by hand in {path}: board of {', '.join(incomplete)}"
            " (semflash boards lists the names)"
        )
    if not any(entry.connected and entry.probe for entry in entries):
        print("no debug probe with a serial port is plugged in")
    print(f"map      {path}")
    return 0


def _print(boards: list[BoardStatus]) -> None:
    """The table for people."""
    from rich.table import Table

    from semflash.console import console as make_console

    console = make_console()
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
