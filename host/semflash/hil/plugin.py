"""The pytest plugin: `desk` is one board of the map, and every test that takes it runs for each of them.

`semflash hil` runs :mod:`semflash.hil.checks` with it. Tests of your own get the same boards with

    pytest -p semflash.hil.plugin --hil-bundle BUNDLE [--hil-map FILE] [--hil-board NAME] my_tests/
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from semflash.errors import SemflashError
from semflash.hil.desk import Desk
from semflash.hil.plan import HilPlan
from semflash.hil.results import CheckResult, HilResult

PLAN = pytest.StashKey[HilPlan]()
RESULT = pytest.StashKey[HilResult]()


class Given:
    """Hands a plan that was made elsewhere to the plugin, and results to `tell` as they come."""

    def __init__(self, plan: HilPlan, result: HilResult, tell: Callable[[CheckResult], None]) -> None:
        self._plan, self._result, self._tell = plan, result, tell

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[PLAN], config.stash[RESULT] = self._plan, self._result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = _result_of(report)
        if found is not None:
            self._result.checks.append(found)
            self._tell(found)


class Quiet:
    """Takes pytest's own reporter away, for a run whose results somebody else tells."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Flags for tests of your own; `semflash hil` does not need them."""
    group = parser.getgroup("semflash hil")
    group.addoption("--hil-bundle", metavar="BUNDLE", help="what the boards run")
    group.addoption("--hil-map", type=Path, metavar="FILE", help="hardware map (default: the emulated board)")
    group.addoption("--hil-board", action="append", metavar="NAME", help="only this board of the map")


def pytest_configure(config: pytest.Config) -> None:
    """A plan from the flags, unless one is given."""
    if PLAN not in config.stash and config.getoption("--hil-bundle"):
        from semflash.hil.plan import plan_of

        try:
            config.stash[PLAN] = plan_of(
                config.getoption("--hil-bundle"),
                map_path=config.getoption("--hil-map"),
                names=tuple(config.getoption("--hil-board") or ()),
            )
        except SemflashError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `desk`, once per board."""
    if "desk" not in metafunc.fixturenames:
        return
    plan = metafunc.config.stash.get(PLAN, None)
    if plan is None:
        raise pytest.UsageError("tests that take `desk` need --hil-bundle")
    metafunc.parametrize("desk", plan.targets, indirect=True, scope="session", ids=lambda target: target.name)


@pytest.fixture(scope="session")
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """One board, locked for this run."""
    plan = request.config.stash[PLAN]
    found = Desk(request.param, plan)
    try:
        yield found
    finally:
        result = request.config.stash.get(RESULT, None)
        if result is not None:
            result.facts[request.param.name] = found.facts
        found.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Marks each report with its board, for `Given`."""
    report: Any = yield
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec is not None else {}
    report.hil_target = params["desk"].name if "desk" in params else None
    report.hil_case = params["case"].name if "case" in params else ""
    return report


def _result_of(report: pytest.TestReport) -> CheckResult | None:
    """A check's result from its report; None for the parts of a test that say nothing."""
    target = getattr(report, "hil_target", None)
    if target is None or (report.when != "call" and report.outcome == "passed"):
        return None
    said = dict(report.user_properties)
    name = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
    if report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        detail, code = reason.removeprefix("Skipped: "), 0
    elif report.outcome == "failed" and "exit_code" not in said:
        detail, code = report.longreprtext, 1
    else:
        detail, code = str(said.get("detail", "")), int(str(said.get("exit_code", 0)))
    return CheckResult(
        target=target,
        check=f"{name} {getattr(report, 'hil_case', '')}".strip(),
        outcome=report.outcome,
        verdict=str(said.get("verdict", "error" if report.outcome == "failed" else "ok")),
        detail=detail,
        seconds=report.duration,
        exit_code=code,
    )
