"""semflash doctor: is this machine ready?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "check what is installed and say how to mend what is missing"
EPILOG = """examples:
  semflash doctor
  semflash doctor --json | jq '.checks[] | select(.state != "ok")'

Exit code 1 where something is missing that every user needs."""

_MARKS = {"ok": "[green]ok[/]", "missing": "[red]missing[/]", "optional": "[yellow]optional[/]"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the findings; 0 where the machine is ready, else 1."""
    from semflash.firmware import doctor

    checks = doctor.diagnose()
    ready = doctor.healthy(checks)
    if args.json:
        import msgspec

        print(msgspec.json.encode({"ready": ready, "checks": checks}).decode())
        return 0 if ready else 1

    from rich.markup import escape
    from rich.table import Table

    from semflash.console import console

    table = Table(box=None, pad_edge=False)
    for heading in ("what", "state", "found"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(check.name, _MARKS[check.state], escape(check.found))
    console().print(table)
    for check in checks:
        if check.mend:  # below the table and unbroken, so that it can be copied
            print(f"\n{check.name}, {check.state}; try:\n  {check.mend}")
    print()
    print("ready" if ready else "not ready: mend what is missing above")
    return 0 if ready else 1
