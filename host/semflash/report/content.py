"""What the sections of a report are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from semflash.program.quality import Ber, Snr
from semflash.report.results import RunResult
from semflash.report.statistics import Series, ordered, series
from semflash.report.view import BundleView
from semflash.report.wording import Words


@dataclass(frozen=True)
class Content:
    """What the report is made of.

    Attributes:
        views: measured bundles, one at least, all of one figure of merit and kind of quality.
        results: of the experiment that is compared and of the bundles' data set; empty: none given.
        seed: of the injected damage.
        notes: on results that were given and are not here, a sentence each.
    """

    views: Sequence[BundleView]
    results: Sequence[RunResult]
    seed: int
    notes: Sequence[str] = ()

    @property
    def words(self) -> Words:
        """Of the figure of merit."""
        return self.views[0].words

    @property
    def quality(self) -> type[Ber] | type[Snr]:
        """The kind of the levels."""
        return self.views[0].quality

    @cached_property
    def others(self) -> list[Series]:
        """Means over seeds of the results."""
        return ordered(series(self.results))

    @property
    def budgets(self) -> list[tuple[str, str]]:
        """Name and text of every training budget among the results."""
        return list(dict.fromkeys((result.budget.name, result.budget.text) for result in self.results))
