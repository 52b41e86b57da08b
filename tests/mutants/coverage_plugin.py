"""A pytest plugin: which test executes which line, and the processor time of each test.

Used by coverage_map.py under `coverage run`; the folder of the answer is in SEMFLASH_MUTANTS_SECONDS.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import coverage
import pytest

_seconds: dict[str, float] = {}
_unfit: set[str] = set()
_started: dict[str, float] = {}


def pytest_runtest_logstart(nodeid: str) -> None:
    """Lines that follow, its fixtures' among them, belong to this test."""
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(nodeid)
    _started[nodeid] = sum(os.times()[:4])


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Lines outside a test (imports while collecting) belong to none; its children's time is the test's."""
    _seconds[nodeid] = sum(os.times()[:4]) - _started.pop(nodeid)
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test that fails without a mutant is none that can kill one."""
    if report.outcome != "passed":
        _unfit.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write seconds per test, null for those that failed or were skipped."""
    target = Path(os.environ["SEMFLASH_MUTANTS_SECONDS"])
    target.write_text(
        json.dumps({name: None if name in _unfit else round(s, 4) for name, s in _seconds.items()})
    )
