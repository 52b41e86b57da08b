"""The suite itself: pytest functions, each run for every board of the map in the order of the work.

What a check does is in :mod:`semflash.hil.desk`; here is what it needs and what it is called in reports.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from semflash.errors import SemflashError
from semflash.hil import budget
from semflash.hil.desk import Desk, LeftOut, NotReached
from semflash.hil.faults import CASES, FaultCase, survive
from semflash.hil.verdict import NO_BUDGET, OVER_BUDGET, CheckFailed, verdict_of

Record = Callable[[str, object], None]


def _do(desk: Desk, record: Record, name: str, needs: tuple[str, ...], work: Callable[[], str]) -> None:
    """One step of one board as one test result with its verdict."""
    try:
        found = desk.step(name, needs, work)
    except NotReached as why:
        record("verdict", why.verdict)
        pytest.skip(str(why))
    except SemflashError as error:
        record("verdict", verdict_of(error))
        record("exit_code", error.exit_code)
        record("detail", str(error))
        pytest.fail(f"{verdict_of(error)}: {error}", pytrace=False)
    record("verdict", "ok")
    record("detail", found)


def test_build(desk: Desk, record_property: Record) -> None:
    """The firmware is built for the board."""
    _do(desk, record_property, "build", (), desk.build)


def test_flash(desk: Desk, record_property: Record) -> None:
    """It is uploaded, and the upload says so itself."""
    _do(desk, record_property, "flash", ("build",), desk.flash)


def test_hello(desk: Desk, record_property: Record) -> None:
    """Board, build and bundle are the ones that were flashed."""
    _do(desk, record_property, "hello", ("flash",), desk.greet)


def test_codes_equal_the_golden_reference(desk: Desk, record_property: Record) -> None:
    """Every payload equals LiteRT BUILTIN_REF, bit for bit."""
    _do(desk, record_property, "codes", ("hello",), desk.codes)


def test_controls(desk: Desk, record_property: Record) -> None:
    """Each image is encoded with the controls that it was to have, and the board says so."""
    _do(desk, record_property, "controls", ("codes",), desk.controls)


def test_throughput(desk: Desk, record_property: Record) -> None:
    """Nothing was sent twice, and the rate is what clock and line allow."""
    _do(desk, record_property, "throughput", ("codes",), desk.throughput)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(desk: Desk, record_property: Record, case: FaultCase) -> None:
    """A disturbed line: every loss is counted, nothing is mixed up, and afterwards all is well."""
    _do(desk, record_property, f"fault {case.name}", ("codes",), lambda: survive(desk, case))


def test_cost_is_within_the_budget(desk: Desk, record_property: Record) -> None:
    """Counts per image and flash grew by no more than 3 %."""
    _do(desk, record_property, "budget", ("codes",), lambda: _within_budget(desk))


def _within_budget(desk: Desk) -> str:
    plan, cost = desk.plan, desk.cost()
    shown = f"{cost.count_per_image:,} {cost.counter} per image" if cost.count_per_image else "not counted"
    if plan.update_budget:
        budget.write_budgets(plan.budget_path, [cost])
        return f"{shown}, written to {plan.budget_path.name}"
    allowed = budget.read_budgets(plan.budget_path).get(cost.key)
    if allowed is None:
        raise LeftOut(f"{shown}; no budget in {plan.budget_path.name}, --update-budget writes one", NO_BUDGET)
    grown = budget.excess(cost, allowed)
    if grown:
        raise CheckFailed(
            OVER_BUDGET,
            "the firmware costs more than its budget allows",
            value="; ".join(grown),
            remedy="find what changed (another compiler counts too), or accept it with --update-budget",
        )
    if allowed.count_per_image and cost.count_per_image:
        change = cost.count_per_image / allowed.count_per_image - 1
        shown += f", {100 * change:+.1f} % against the budget"
    return shown
