"""Runs the suite over a plan: pytest underneath, results as values."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from semflash import atomic
from semflash.bundle.reader import read_bundle
from semflash.errors import SemflashError, UsageError
from semflash.firmware import resources
from semflash.firmware.boards import DEFAULT_BOARD, load_board
from semflash.firmware.build import BUILD_ROOT
from semflash.firmware.hardware_map import read_map
from semflash.hil import budget
from semflash.hil.plan import HilPlan, Target
from semflash.hil.results import CheckResult, HilResult

_SUITE = Path(__file__).with_name("checks.py")


def targets_of(map_path: Path | None, names: tuple[str, ...] = ()) -> tuple[Target, ...]:
    """The boards of a hardware map; the emulated board alone where there is no map.

    Args:
        names: only these; all when empty.

    Raises:
        UsageError: the map is malformed, empty or has no such board.
    """
    if map_path is None:
        board = load_board(DEFAULT_BOARD)
        targets: tuple[Target, ...] = (Target(board.name, board),)
    else:
        hardware_map = read_map(map_path)
        entries = [hardware_map.get(entry.name) for entry in hardware_map.entries]
        targets = tuple(Target(entry.name, load_board(entry.board), entry) for entry in entries)
        if not targets:
            raise UsageError(
                "the hardware map is empty", value=map_path, remedy="semflash boards --scan fills it"
            )
    known = {target.name: target for target in targets}
    for name in names:
        if name not in known:
            raise UsageError("the map has no such board", value=name, remedy=f"boards are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else targets


def budget_path(map_path: Path | None) -> Path:
    """Where budgets are kept: beside the map, else with the board descriptions."""
    folder = map_path.resolve().parent if map_path is not None else resources.root() / "boards" / "hil"
    return folder / budget.FILE_NAME


def plan_of(bundle: str, *, map_path: Path | None = None, names: tuple[str, ...] = ()) -> HilPlan:
    """A plan with everything else as usual."""
    return HilPlan(
        targets=targets_of(map_path, names),
        bundle=read_bundle(bundle),
        work_dir=BUILD_ROOT / "hil",
        budget_path=budget_path(map_path),
        map_path=map_path,
    )


def run_hil(
    plan: HilPlan, *, junit_path: Path | None = None, tell: Callable[[CheckResult], None] = lambda check: None
) -> HilResult:
    """Run every check on every board of `plan`.

    Args:
        junit_path: file for the results as JUnit XML. tell: called with each result as it comes.

    Returns:
        all results. What a board does wrong is a result, never an exception.

    Raises:
        ModuleNotFoundError: pytest is not installed. KeyboardInterrupt: Ctrl-C; boards are free again.
    """
    import pytest

    from semflash.hil.plugin import Given, Quiet

    budget.read_budgets(plan.budget_path)  # malformed: said before a board is touched
    result = HilResult()
    with atomic.scratch(Path(tempfile.gettempdir()), "semflash-hil-") as folder:
        settings = folder / "pytest.ini"
        settings.write_text("[pytest]\njunit_family = xunit1\n")
        arguments = [
            str(_SUITE),
            *("-c", str(settings), "--rootdir", str(_SUITE.parent), "--import-mode", "importlib"),
            *("-p", "semflash.hil.plugin", "-p", "no:cacheprovider", "--disable-plugin-autoload"),
            *("--capture", "no", "--override-ini", "junit_suite_name=semflash hil"),
            *(("--junit-xml", str(junit_path.resolve())) if junit_path is not None else ()),
        ]
        options = os.environ.pop("PYTEST_ADDOPTS", None)  # of the user's own tests
        try:
            code = pytest.main(arguments, plugins=[Given(plan, result, tell), Quiet()])
        finally:
            if options is not None:
                os.environ["PYTEST_ADDOPTS"] = options
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SemflashError("the suite could not be run", value=f"pytest ended with {code!r}")
    return result
