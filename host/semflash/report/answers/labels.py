"""A report on labels: the confusion of classes over a damaged channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.report import pictures
from semflash.report.answers.features import examples
from semflash.report.answers.material import EXAMPLES, Material
from semflash.report.importance import Importance
from semflash.report.page import Chart, Section, Table
from semflash.report.view import BundleView, Details, Example

_WORST = 6


@dataclass(frozen=True)
class LabelDetails(Details):
    """Confusion.

    Attributes:
        confusion: Counts over the damaged channel, int64 (classes, classes); rows are the truth.
    """

    confusion: NDArray[np.int64]

    def sections(self, views: Sequence[BundleView]) -> list[Section]:
        """Confusion matrices, with the worst pairs as a table."""
        charts, tables = [], []
        for view in views:
            if not isinstance(view.details, LabelDetails):
                continue
            name, classes, counts = view.bundle.name, view.bundle.contract.class_names, view.details.confusion
            charts.append(
                Chart(
                    f"confusion-{name}",
                    f"{name} at {_level(view)}: rows are the truth, columns the answer.",
                    f"Confusion matrix of {name}; the table lists its largest errors.",
                    partial(pictures.confusion, view.bundle, counts),
                )
            )
            pairs = sorted(
                ((int(count), a, b) for (a, b), count in np.ndenumerate(counts) if a != b),
                key=lambda pair: (-pair[0], *pair[1:]),
            )
            rows = [[classes[a], classes[b], str(count)] for count, a, b in pairs[:_WORST] if count]
            head = ["truth", "answer", "images"]
            tables.append(Table(f"{name}: most frequent errors", head, rows, words=True))
        title = f"Confusion at {_level(views[0])}"
        return [Section("confusion", "Confusion", title, charts=charts, tables=tables)]

    def as_json(self, view: BundleView) -> dict[str, Any]:
        """The counts."""
        return {"confusion": self.confusion.tolist()}


def _level(view: BundleView) -> str:
    return view.quality.text(view.quality.damaged)


def measured(material: Material) -> tuple[LabelDetails, list[Example], Importance | None]:
    """Details, and images of different classes."""
    classes = len(material.bundle.contract.class_names)
    counts = np.zeros((classes, classes), np.int64)
    answers = material.evaluation.predictions[material.bundle.quality.damaged]
    np.add.at(counts, (material.labels, answers), 1)
    details = LabelDetails(counts)
    if not material.pictures:
        return details, [], None
    shown, maps, _ = examples(material, chosen(material.labels), lambda _, verdict: verdict.truth, "answered")
    return details, shown, maps


def chosen(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Which images are shown: the first ones of different classes.

    >>> chosen(np.array([3, 3, 1, 3, 0, 2, 4])).tolist()
    [0, 2, 4, 5]
    """
    _, first = np.unique(labels, return_index=True)
    return np.sort(first)[:EXAMPLES]
