"""What the sections of a report are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflash.edge.report.gather import BundleView
from semflash.edge.report.results import RunResult
from semflash.edge.report.statistics import Series, ordered, series
from semflash.edge.report.wording import Words

EXPERIMENT = "ber"


@dataclass(frozen=True)
class Content:
    """What the report is made of.

    Attributes:
        views: measured bundles, one at least, all of one figure of merit. results: of experiments; empty:
            none given.
        seed: of the injected errors.
    """

    views: Sequence[BundleView]
    results: Sequence[RunResult]
    seed: int

    @property
    def words(self) -> Words:
        """Of the figure of merit."""
        return self.views[0].words

    @property
    def others(self) -> list[Series]:
        """Means over seeds of what the experiments compare (experiment ``ber``)."""
        return ordered(series(self.results, where=lambda result: result.experiment == EXPERIMENT))
