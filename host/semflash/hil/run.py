"""Runs the suite over a plan: pytest underneath, results as values."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from semflash import atomic
from semflash.errors import SemflashError
from semflash.hil import budget
from semflash.hil.plan import HilPlan
from semflash.hil.results import CheckResult, HilResult

_SUITE = Path(__file__).with_name("checks.py")


def run_hil(
    plan: HilPlan, *, junit_path: Path | None = None, tell: Callable[[CheckResult], None] = lambda check: None
) -> HilResult:
    """Run every check on every board of `plan`.

    Args:
        junit_path: File for the results as JUnit XML.
        tell: Called with each result as it comes.

    Returns:
        all results. What a board does wrong is a result, never an exception.

    Raises:
        ModuleNotFoundError: pytest is not installed.
        KeyboardInterrupt: Ctrl-C; boards are free again.
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
