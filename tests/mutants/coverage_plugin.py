"""A pytest plugin: which test executes which line, and how long each test takes.

Used by coverage_map.py under `coverage run`; the folder of the answer is in SEMFLASH_MUTANTS_SECONDS.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import coverage
import pytest

_seconds: dict[str, float] = defaultdict(float)
_unfit: set[str] = set()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Lines that follow, its fixtures' among them, belong to this test."""
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(nodeid)


def pytest_runtest_logfinish() -> None:
    """Lines outside a test (imports while collecting) belong to none."""
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up set-up, call and tear-down; a test that fails without a mutant is none that can kill one."""
    _seconds[report.nodeid] += report.duration
    if report.outcome != "passed":
        _unfit.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write seconds per test, null for those that failed or were skipped."""
    target = Path(os.environ["SEMFLASH_MUTANTS_SECONDS"])
    target.write_text(
        json.dumps({name: None if name in _unfit else round(s, 4) for name, s in _seconds.items()})
    )
