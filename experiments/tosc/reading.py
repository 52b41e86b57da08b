"""Results as the tables ask for them: by group and variant, then by level and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.tosc.names import SEEDS
from experiments.tosc.results import Result, Row
from semflash.report.statistics import Mean, mean_of

#: Level -> seed -> accuracy.
Curve = dict[float, dict[int, float]]
RUN = "python experiments/tosc/run.py"


@dataclass(frozen=True)
class Material:
    """All results.

    Attributes:
        results: by job.
    """

    results: Mapping[str, Result]

    def of(self, group: str, variant: str | None = None) -> list[Result]:
        """The results of a group, by seed."""
        found = [
            result
            for result in self.results.values()
            if result.group == group and variant in (None, result.variant)
        ]
        return sorted(found, key=lambda result: result.seed)

    def curve(self, group: str, variant: str, split: str = "test", **conditions: Any) -> Curve:
        """Accuracy by level and seed; `conditions` are fields of a row, those not named at their default."""
        found: Curve = {}
        for result in self.of(group, variant):
            for row in result.rows:
                if row.split == split and meets(row, conditions):
                    found.setdefault(row.level, {})[result.seed] = row.accuracy
        return found

    def counts(self, group: str, variant: str, levels: Sequence[float]) -> dict[int, np.ndarray]:
        """Seed -> in how many realisations each test image was right, all levels together, int64 (images,).

        Seeds that lack a level are left out.
        """
        found: dict[int, np.ndarray] = {}
        for result in self.of(group, variant):
            rows = {row.level: row for row in result.rows if row.split == "test" and row.right}
            if all(level in rows for level in levels):
                each = [rows[level].counts().astype(np.int64) for level in levels]
                found[result.seed] = np.sum(each, axis=0)
        return found

    def repeats(self, group: str, variant: str) -> int:
        """Noise realisations that each test image met; 0: not measured."""
        rows = [row for result in self.of(group, variant) for row in result.rows if row.split == "test"]
        return rows[0].repeats if rows else 0

    def figures(self, group: str, variant: str) -> dict[int, dict[str, Any]]:
        """Seed -> figures."""
        return {result.seed: result.figures for result in self.of(group, variant)}


def meets(row: Row, conditions: Mapping[str, Any]) -> bool:
    """Whether a row's conditions are these, and where they are silent the usual ones."""
    usual: dict[str, Any] = {"told_error": 0.0, "state_error": 0, "decoder_error": 0, "kept": 0}
    return all(getattr(row, name) == value for name, value in (usual | dict(conditions)).items())


def over(curve: Curve, levels: Sequence[float]) -> dict[int, float]:
    """Seed -> mean accuracy over some levels, of the seeds that have all of them."""
    if not levels or any(level not in curve for level in levels):
        return {}
    seeds = set.intersection(*(set(curve[level]) for level in levels))
    return {seed: float(np.mean([curve[level][seed] for level in levels])) for seed in sorted(seeds)}


def less(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """Seed -> difference, of the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def mean(values: Mapping[int, float]) -> Mean | None:
    """Mean and spread over seeds; None: nothing was measured."""
    return mean_of(list(values.values())) if values else None


def cell(values: Mapping[int, float] | None) -> str:
    """An accuracy in percent with its spread; a dash: not measured."""
    found = mean(values or {})
    return "–" if found is None else found.percent()


def points(values: Mapping[int, float]) -> str:
    """A difference in points with its spread; a dash: not measured.

    >>> points({0: 0.01, 1: 0.02, 2: 0.03})
    '+2.00 ± 1.00'
    """
    found = mean(values)
    if found is None:
        return "–"
    spread = "" if found.spread is None else f" ± {100 * found.spread:.2f}"
    return f"{100 * found.mean:+.2f}{spread}"


def few(values: Mapping[int, Any]) -> str:
    """Which seeds there are, where some are missing.

    >>> few({0: 1.0, 2: 1.0}), few({0: 1.0, 1: 1.0, 2: 1.0})
    (' (seeds 0, 2)', '')
    """
    if not values or set(values) >= set(SEEDS):
        return ""
    word = "seed" if len(values) == 1 else "seeds"
    return f" ({word} {', '.join(map(str, sorted(values)))})"


def seeds(curve: Curve) -> str:
    """How many seeds a curve is of.

    >>> seeds({0.0: {0: 0.5, 1: 0.5}, 6.0: {0: 0.5, 1: 0.5}})
    '2'
    """
    return str(len({seed for values in curve.values() for seed in values}))


def missing(*globs: str) -> str:
    """What stands where nothing was measured yet."""
    only = " ".join(f"--only '{glob}'" for glob in globs)
    return f"Not measured yet: `{RUN} {only}`."


def level_text(level: float) -> str:
    """A ratio or rate as the head of a column."""
    return f"{level:g}"


def known(names: Iterable[str], having: Iterable[str]) -> list[str]:
    """The names of a list that there are results of, in its order."""
    there = set(having)
    return [name for name in names if name in there]
