"""What the tables are made of: results, their order, and how figures are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflash.report.results import RunResult
from semflash.report.statistics import Mean, Series, mean_of

BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2, 0.1)
SEARCHED = (0.0, 1e-2, 5e-2)
OWN = "semanticnn"
#: Most points below the task network, by payload bytes and BER.
GOALS = {48: {0.0: 1.0, 1e-2: 1.5, 5e-2: 3.0}, 24: {0.0: 2.0, 1e-2: 2.5, 5e-2: 4.5}}


@dataclass(frozen=True)
class Material:
    """What the blocks are made of.

    Attributes:
        results: every result. rates: what experiments/rate_table.py left.
    """

    results: list[RunResult]
    rates: list[dict[str, Any]]

    def of(self, experiment: str, **fields: Any) -> list[RunResult]:
        """The results of one experiment whose fields are as given."""
        return [
            result
            for result in self.results
            if result.experiment == experiment
            and all(getattr(result, key) == value for key, value in fields.items())
        ]

    def task(self, budget: str) -> Mean | None:
        """Test accuracy of a budget's uncompressed task network."""
        found = [r for r in self.of("search", method="task-network") if r.budget.name == budget]
        values = [row.value for result in found for row in result.rows if row.split == "test"]
        return mean_of(values) if values else None


def read_rates(folder: Path) -> list[dict[str, Any]]:
    """The rate table's files, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def missing(experiment: str) -> str:
    """What stands where nothing was measured yet."""
    return f"No results yet: `python experiments/run.py --only '{experiment}/*'`"


def percent(ber: float) -> str:
    """A rate as the head of a column."""
    return f"{100 * ber:g} %"


def cell(mean: Mean | None) -> str:
    """An accuracy, or a dash where nothing was measured."""
    return "–" if mean is None else mean.percent()


def seeds(one: Series) -> str:
    """How many seeds, or which one."""
    return str(len(one.seeds))


def caption(results: Sequence[RunResult]) -> str:
    """The budgets of some results in words, and how many test images the figures are of."""
    measured = f"*Accuracy in percent, {images(results, 'test')} test images, mean ± standard deviation.*"
    return f"{budget_lines(results)}  \n{measured}"


def budget_lines(results: Sequence[RunResult]) -> str:
    """The budgets of some results in words, a line each."""
    budgets = dict.fromkeys((result.budget.name, result.budget.text) for result in results)
    return "  \n".join(f"*Budget {name}: {text}.*" for name, text in budgets)


def images(results: Sequence[RunResult], split: str) -> str:
    """How many images of a split the figures are of."""
    counts = sorted({row.images for result in results for row in result.rows if row.split == split})
    return ", ".join(f"{count:,}" for count in counts) or "no"
