"""Means over seeds, their spread, and what may be said of two of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from semflash.outputs.metrics import ACCURACY, Metric
from semflash.report.results import Row, RunResult


@dataclass(frozen=True)
class Mean:
    """Mean over seeds. spread: sample standard deviation (n - 1); None: fewer than two seeds."""

    mean: float
    spread: float | None
    count: int

    def percent(self) -> str:
        """In percent, with the spread where there is one.

        >>> Mean(0.9, 0.002, 3).percent(), Mean(0.9, None, 1).percent()
        ('90.00 ± 0.20', '90.00')
        """
        text = f"{100 * self.mean:.2f}"
        return text if self.spread is None else f"{text} ± {100 * self.spread:.2f}"


def mean_of(values: Sequence[float]) -> Mean:
    """Mean and spread of one value or more.

    >>> mean_of([1.0, 3.0])
    Mean(mean=2.0, spread=1.4142135623730951, count=2)
    """
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Mean(statistics.fmean(values), spread, len(values))


def above(one: Mean, other: Mean) -> bool | None:
    """Whether `one` is above `other` by more than the spread: mean minus spread over mean plus spread.

    None where either has no spread: one seed allows no such statement.

    >>> above(Mean(0.90, 0.01, 3), Mean(0.87, 0.01, 3)), above(Mean(0.90, 0.02, 3), Mean(0.87, 0.02, 3))
    (True, False)
    """
    if one.spread is None or other.spread is None:
        return None
    return one.mean - one.spread > other.mean + other.spread


class Condition(NamedTuple):
    """What was measured, seed and images apart; fields as in `Row`."""

    channel: str
    rate: float
    estimate: str = "exact"
    encoder: str = "float"
    burst_bits: int | None = None
    frame_bytes: int | None = None
    framing: str = "deliver"

    @classmethod
    def of(cls, row: Row) -> Condition:
        """The condition of a row."""
        return cls(*(getattr(row, name) for name in cls._fields))


def over_bsc(rates: Iterable[float], framing: str = "deliver") -> list[Condition]:
    """The binary symmetric channel at some rates, float encoder, exact estimate."""
    return [Condition("bsc", rate, framing=framing) for rate in rates]


class Subject(NamedTuple):
    """What seeds are averaged of."""

    method: str
    title: str
    kind: str
    variant: str
    payload_bytes: int
    budget: str

    @classmethod
    def of(cls, result: RunResult) -> Subject:
        """Of a result: all that decided it but its seed and settings."""
        return cls(
            result.method, result.title, result.kind, result.variant, result.payload_bytes, result.budget.name
        )


#: The method that stands first.
OWN_METHOD = "semanticnn"
#: What the link does with damaged payloads, as a part of a name.
FRAMING_NAMES = {"deliver": "", "drop": ", damaged payloads dropped", "retransmit": ", sent again"}


@dataclass(frozen=True)
class Series:
    """A subject's means over its seeds by condition.

    Attributes:
        seeds: which were measured.
        means: of the values. transmissions: how often a payload was sent.
        sent: bytes of an image: mean bytes of a payload times its mean number of transmissions.
        at_most: a result does not say how long its payloads are; `sent` takes their limit for it.
    """

    subject: Subject
    seeds: tuple[int, ...]
    means: dict[Condition, Mean]
    transmissions: dict[Condition, float]
    sent: dict[Condition, Mean]
    at_most: bool = False

    def bsc(self, rate: float, framing: str = "deliver", encoder: str = "float") -> Mean | None:
        """At a bit error rate; None: not measured."""
        return self.means.get(Condition("bsc", rate, encoder=encoder, framing=framing))

    def bytes_sent(self, rate: float, framing: str = "deliver") -> float | None:
        """Bytes of an image, all its transmissions together, at a bit error rate; None: not measured."""
        mean = self.sent.get(Condition("bsc", rate, framing=framing))
        return None if mean is None else mean.mean

    def bytes_text(self, conditions: Iterable[Condition]) -> str:
        """Bytes sent under some conditions: one number, or the least and the most; a dash: not measured."""
        known = [self.sent[key].mean for key in conditions if key in self.sent]
        if not known:
            return "–"
        ends = dict.fromkeys(f"{count:.1f}" for count in (min(known), max(known)))
        return ("at most " if self.at_most else "") + " to ".join(ends)

    def name(self, framing: str = "deliver", *, budget: bool = False) -> str:
        """Title, variant and what the link does; with `budget` also that, in brackets."""
        variant = f" ({self.subject.variant})" if self.subject.variant else ""
        trained = f" [{self.subject.budget}]" if budget else ""
        return f"{self.subject.title}{variant}{FRAMING_NAMES.get(framing, ', ' + framing)}{trained}"

    def line(self, framing: str) -> list[tuple[float, Mean]]:
        """(BER, mean) over the binary symmetric channel, float encoder, exact estimate, by rate."""
        found = [
            (key.rate, mean)
            for key, mean in self.means.items()
            if key == Condition("bsc", key.rate, framing=framing)
        ]
        return sorted(found, key=lambda pair: pair[0])

    def framings(self) -> tuple[str, ...]:
        """What the link did with damaged payloads, in the order of measuring."""
        return tuple(dict.fromkeys(condition.framing for condition in self.means))


def series(
    results: Iterable[RunResult],
    *,
    split: str = "test",
    where: Callable[[RunResult], bool] = lambda _: True,
    metric: Metric = ACCURACY,
) -> list[Series]:
    """Means over the seeds of each subject, in the order in which subjects appear.

    Args:
        split: ``test``, or ``val``.
        where: which results count.
        metric: whose rows are averaged.
    """
    groups: dict[Subject, list[RunResult]] = {}
    for result in results:
        if where(result):
            groups.setdefault(Subject.of(result), []).append(result)
    found = [_averaged(subject, members, split, metric) for subject, members in groups.items()]
    return [one for one in found if one.means]


def _averaged(subject: Subject, members: Sequence[RunResult], split: str, metric: Metric) -> Series:
    """One subject's results, a seed each."""
    rows: dict[Condition, list[tuple[Row, float]]] = {}
    for result in members:
        mean = result.mean_payload_bytes
        size = result.payload_bytes if mean is None else mean
        for row in result.rows:
            if row.split == split and row.metric == metric:
                rows.setdefault(Condition.of(row), []).append((row, size * row.transmissions))
    return Series(
        subject,
        tuple(sorted(result.seed for result in members)),
        {key: mean_of([row.value for row, _ in pairs]) for key, pairs in rows.items()},
        {key: statistics.fmean(row.transmissions for row, _ in pairs) for key, pairs in rows.items()},
        {key: mean_of([sent for _, sent in pairs]) for key, pairs in rows.items()},
        any(result.mean_payload_bytes is None for result in members),
    )


def ordered(found: list[Series]) -> list[Series]:
    """Comparison before full, SemanticNN first, learned methods before classical ones, then by title."""

    def key(one: Series) -> tuple[bool, bool, bool, str]:
        subject = one.subject
        full, other = subject.budget != "comparison", subject.method != OWN_METHOD
        return full, other, subject.kind != "learned", subject.title

    return sorted(found, key=key)
