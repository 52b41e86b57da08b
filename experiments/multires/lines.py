"""Lines of tables, and figures picked out of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.multires.results import Result, Row

NOTHING = "Not measured yet."

Results = Sequence[Result]


def of(found: Results, variant: str) -> list[Result]:
    """Those of a variant, by seed."""
    return sorted((each for each in found if each.variant == variant), key=lambda one: one.seed)


def rows_of(results: Results, arm: str, rate: int) -> Iterable[Row]:
    """Of a way to spend the bits at a rate, on the test split."""
    for result in results:
        yield from (r for r in result.rows if (r.arm, r.rate, r.split) == (arm, rate, "test"))


def over(results: Results, arm: str, other: str, rate: int) -> float:
    """How much more accurate one way is than another, a share."""
    one, than = mean(results, arm, rate), mean(results, other, rate)
    return float("nan") if one is None or than is None else one - than


def mean(results: Results, arm: str, rate: int) -> float | None:
    """Of the accuracy over the results; None: none has it."""
    values = [row.accuracy for row in rows_of(results, arm, rate)]
    return float(np.mean(values)) if values else None


def spread(results: Results, arm: str, rate: int) -> float:
    """Standard deviation of the accuracy over the results; 0 of a single one."""
    values = [row.accuracy for row in rows_of(results, arm, rate)]
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def share(value: float) -> str:
    """In percent."""
    return f"{value:.1%}"


def head(*cells: Any) -> list[str]:
    """First two lines of a table."""
    return [line(cells), "|" + " --- |" * len(cells)]


def line(cells: Iterable[Any]) -> str:
    """One line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
