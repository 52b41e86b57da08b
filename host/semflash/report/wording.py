"""The figure of merit in the report's words: accuracy of classifiers, mAP@0.5 of detectors."""

from __future__ import annotations

from typing import NamedTuple

from semflash.bundle.schema import Metric


class Words(NamedTuple):
    """Names of a figure of merit.

    Attributes:
        name: within a sentence. title: at its start. slug: in names of files.
        interval: what the bars of a bundle are. note: what it is, for the lead; empty: everyone knows.
    """

    name: str
    title: str
    slug: str
    interval: str
    note: str = ""


WORDS: dict[Metric, Words] = {
    "accuracy": Words("accuracy", "Accuracy", "accuracy", "95 % interval of a bundle (Wilson)"),
    "map50": Words(
        "mAP@0.5", "mAP@0.5", "map50", "95 % interval of a bundle (100 bootstrap samples of the images)",
        "mAP@0.5 is the mean over classes of the average precision at an overlap (IoU) of 0.5 (pycocotools).",
    ),
}  # fmt: skip


def percent(ber: float) -> str:
    """A rate in percent.

    >>> percent(0.0025)
    '0.25 %'
    """
    return f"{100 * ber:g} %"


def share(value: float | None) -> str:
    """A share in percent without the sign, or a dash.

    >>> share(0.5), share(None)
    ('50.00', '–')
    """
    return "–" if value is None else f"{100 * value:.2f}"
