"""The section on settings and seeds: of the bundles, and of the results beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semflash.report.content import Content
from semflash.report.page import Section, Table
from semflash.report.results import RunResult
from semflash.report.statistics import Subject
from semflash.report.view import BundleView

#: Settings of a result that stand in the heads of the tables, or that only say what was measured.
_ELSEWHERE = ("method", "bytes", "kind", "seed", "measures", "budget.text", "budget.seconds", "recipe.seed")


def settings(content: Content) -> Section:
    """All settings and seeds."""
    tables = [_of_bundle(view) for view in content.views]
    if content.results:
        rows = [[r.experiment, r.run, r.budget.name, str(r.seed), r.fingerprint] for r in content.results]
        head = ["experiment", "run", "budget", "seed", "fingerprint"]
        tables += [
            Table("Budgets", ["budget", "what a training may take"], [list(b) for b in content.budgets]),
            *of_results(content.results),
            Table("Results of experiments in this report", head, rows, words=True),
        ]
    title, text = "All settings and seeds", [f"{note[:1].upper()}{note[1:]}." for note in content.notes]
    return Section("settings", "Settings", title, text=text, tables=tables, folded=True)


def _of_bundle(view: BundleView) -> Table:
    record, program = view.bundle.record, view.bundle.program
    regions = ", ".join(
        f"{program.tensor(region.source).items} {region.source} of {region.bits} bits"
        for region in program.payload.regions
    )
    rows = [
        ["bundle hash", view.bundle.hash_hex],
        ["semflash", record.semflash_version],
        ["training seed", str(record.seed)],
        ["payload", regions],
        *([key, value] for key, value in flat(record.recipe)),
    ]
    return Table(view.bundle.name, ["setting", "value"], rows, words=True)


@dataclass(frozen=True)
class Decided:
    """What decided some results, budget's text and seed apart.

    Attributes:
        subject: of the results. settings: dotted name -> text. seeds: that were trained with them.
    """

    subject: Subject
    settings: dict[str, str]
    seeds: list[int]

    @property
    def head(self) -> str:
        """Of a column."""
        seeds = f"{'seed' if len(self.seeds) == 1 else 'seeds'} {', '.join(map(str, sorted(self.seeds)))}"
        variant = f"{self.subject.variant}, " if self.subject.variant else ""
        return f"{variant}{self.subject.payload_bytes} B, {seeds} [{self.subject.budget}]"


def of_results(results: Sequence[RunResult]) -> list[Table]:
    """What all methods of a kind share, then a table a method: a column for each payload, budget and variant.

    Seeds that share their settings stand in one column, others in columns of their own.
    """
    columns: dict[tuple[Subject, str], Decided] = {}
    for result in results:
        values = decided(result)
        key = Subject.of(result), json.dumps(values, sort_keys=True)
        columns.setdefault(key, Decided(key[0], values, [])).seeds.append(result.seed)
    tables, common = [], {}
    for kind in dict.fromkeys(one.subject.kind for one in columns.values()):
        common[kind] = _common([one for one in columns.values() if one.subject.kind == kind])
        rows = [[name, value] for name, value in sorted(common[kind].items())]
        if rows:
            caption = f"What all {kind} methods of the results share"
            tables.append(Table(caption, ["setting", "value"], rows, words=True))
    for title in dict.fromkeys(one.subject.title for one in columns.values()):
        own = [one for one in columns.values() if one.subject.title == title]
        names = sorted(
            {name for one in own for name in one.settings.keys() - common[one.subject.kind].keys()}
        )
        rows = [[name, *(one.settings.get(name, "–") for one in own)] for name in names]
        if rows:
            tables.append(
                Table(f"{title}: settings", ["setting", *(one.head for one in own)], rows, words=True)
            )
    return tables


def decided(result: RunResult) -> dict[str, str]:
    """Budget, task network and recipe (or trial) of a result: dotted name -> text, without the seed."""
    return {name: value for name, value in flat(result.settings) if name not in _ELSEWHERE}


def _common(columns: Sequence[Decided]) -> dict[str, str]:
    """What several columns all have, with one value."""
    first, *others = columns
    if not others:
        return {}
    return {
        name: value
        for name, value in first.settings.items()
        if all(one.settings.get(name) == value for one in others)
    }


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and text.

    >>> flat({"a": {"b": 1}, "c": [1, 2]})
    [('a.b', '1'), ('c', '[1, 2]')]
    """
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return found
