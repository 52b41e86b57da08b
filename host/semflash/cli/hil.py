"""``semflash hil``: every board of a map, from build to budget."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.cli import build_options
from semflash.settings import first

if TYPE_CHECKING:
    from semflash.hil.plan import HilPlan
    from semflash.hil.results import CheckResult
    from semflash.settings import Settings

HELP = "build, flash and check every board of a hardware map"
EPILOG = """examples:
  semflash hil                                                    # the emulated board, the zoo's bundle
  semflash hil --map desk.toml --junit hil.xml --report hil.html
  semflash hil --map desk.toml --board left --no-flash            # what one board runs already
  semflash hil --update-budget                                    # accept what the firmware costs now

For each board: build, flash, HELLO, 500 images bit for bit, throughput, a disturbed line, costs and budget.
Exit code: 0 ok, 1 wrong codes, over budget or no build, 3 a board or its link failed.
"""
DEFAULT_BUNDLE = "fashion-mnist-48"
MOST_IMAGES = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    parser.add_argument(
        "bundle", nargs="?", metavar="BUNDLE", help=f"what the boards run (default: {DEFAULT_BUNDLE})"
    )
    parser.add_argument(
        "--map",
        type=Path,
        metavar="FILE",
        help="hardware map (default: semflash-boards.toml, else just the emulated board)",
    )
    parser.add_argument("--board", action="append", metavar="NAME", help="only this board; may be repeated")
    parser.add_argument("--images", type=int, metavar="N", help="for the bit-exact check (default 500)")
    parser.add_argument("--fault-images", type=int, metavar="N", help="for each fault case (default 40)")
    parser.add_argument("--dataset", help="use its test images instead of made ones, as many of each class")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument("--seed", type=int, default=0, help="of the made or chosen images and of the faults")
    parser.add_argument("--no-flash", action="store_true", help="check what the boards run already")
    parser.add_argument("--budgets", type=Path, metavar="FILE", help="budget file (default: beside the map)")
    parser.add_argument("--update-budget", action="store_true", help="the new budget is what was measured")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report: .md or .html")
    parser.add_argument("--record", type=Path, metavar="DIR", help="keep the raw bytes of every board")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the builds (default: build/hil)")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Check all flags, then all boards."""
    from semflash.hil.report import headline, write_report
    from semflash.hil.run import run_hil

    plan = _plan(args, settings)
    result = run_hil(plan, junit_path=args.junit, tell=_silent if args.json else _Lines())
    if args.report is not None:
        write_report(args.report, plan, result)
    if args.json:
        import json

        print(json.dumps(result.as_dict()))
    else:
        print(headline(result))
    return result.exit_code


def _plan(args: argparse.Namespace, settings: Settings) -> HilPlan:
    """Everything a run needs, checked before a board is touched."""
    from semflash.bundle import read_bundle
    from semflash.edge.records import check_writable
    from semflash.errors import UsageError
    from semflash.firmware.boards.hardware_map import find_map
    from semflash.hil.plan import FAULT_IMAGES, IMAGES, HilPlan, budget_path, targets_of
    from semflash.hil.report import check_ending

    images, fault_images = first(args.images, IMAGES), first(args.fault_images, FAULT_IMAGES)
    for flag, count in (("--images", images), ("--fault-images", fault_images)):
        if count is None or not 1 <= count <= MOST_IMAGES:
            raise UsageError(f"{flag} must be between 1 and {MOST_IMAGES}", value=count)
    if args.seed < 0:
        raise UsageError("--seed must not be negative", value=args.seed)
    if args.report is not None:
        check_ending(args.report)
        check_writable(args.report, "--report")
    if args.junit is not None:
        check_writable(args.junit, "--junit")
    map_path = args.map or find_map()
    targets = targets_of(map_path, tuple(args.board or ()))
    return HilPlan(
        targets=targets,
        bundle=read_bundle(str(args.bundle or settings.build.bundle or DEFAULT_BUNDLE)),
        work_dir=args.out or build_options.build_root(settings) / "hil",
        budget_path=args.budgets or budget_path(map_path),
        map_path=map_path,
        images=images or IMAGES,
        fault_images=fault_images or FAULT_IMAGES,
        seed=args.seed,
        dataset=args.dataset,
        data_dir=args.data_dir,
        flash=not args.no_flash,
        update_budget=args.update_budget,
        record_dir=args.record,
        timeout_s=settings.link.timeout_s,
    )


def _silent(check: CheckResult) -> None:
    """--json prints at the end."""


_MARKS = {"passed": ("ok", "green"), "failed": ("FAIL", "red"), "skipped": ("-", "dim")}


class _Lines:
    """A heading per board, a line per check."""

    def __init__(self) -> None:
        from semflash.console import console

        self._console = console(highlight=False, soft_wrap=True)
        self._target = ""

    def __call__(self, check: CheckResult) -> None:
        from rich.text import Text

        if check.target != self._target:
            self._target = check.target
            self._console.print(Text(check.target, "bold"))
        mark, style = _MARKS[check.outcome]
        verdict = f"{check.verdict}: " if check.outcome == "failed" else ""
        detail = f"{verdict}{check.detail}".replace("\n", "\n" + 49 * " ")
        line = Text.assemble("  ", (f"{mark:<5}", style), f"{check.check:<41} ", detail)
        self._console.print(line.append(f"  {check.seconds:.1f} s", "dim"))
