"""What may stand in one report: bundles of one figure of merit, and results of the bundles' data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from semflash.bundle.reader import Bundle
from semflash.errors import UsageError
from semflash.outputs.metrics import ACCURACY
from semflash.program.quality import Ber
from semflash.report.results import RunResult

#: The experiment whose results stand beside bundles.
EXPERIMENT = "ber"


class Chosen(NamedTuple):
    """results: those that stand beside the bundles. notes: what else there is to say, without a stop."""

    results: list[RunResult]
    notes: list[str]


def check_comparable(bundles: Sequence[Bundle], results: Sequence[RunResult]) -> None:
    """Refuse what has no figure of merit in common; asked before the measurement, which takes minutes.

    Raises:
        UsageError: bundles of several figures of merit or of several kinds of channel quality; bundles beside
            results of the experiments, which are accuracies at bit error rates, that are of another.
    """
    nouns = {bundle.output.metric: bundle.output.noun for bundle in bundles}
    if len(nouns) > 1:
        grouped = (
            f"{noun} {', '.join(b.name for b in bundles if b.output.metric == metric)}"
            for metric, noun in sorted(nouns.items(), key=lambda pair: pair[1], reverse=True)
        )
        titles = " and ".join(metric.title for metric in nouns)
        raise UsageError(
            f"a report compares either {' or '.join(sorted(nouns.values()))}: {titles} do not compare",
            value="; ".join(grouped),
            remedy="make one report of each",
        )
    kinds = {bundle.quality.name: bundle.quality for bundle in bundles}
    if len(kinds) > 1:
        both = " and ".join(kind.short for kind in kinds.values())
        raise UsageError(
            f"a report is over one kind of channel quality, not {both}",
            value="; ".join(f"{b.name}: {b.quality.short}" for b in bundles),
            remedy="make one report of each",
        )
    if not results:
        return
    names = ", ".join(bundle.name for bundle in bundles)
    if ACCURACY not in nouns:
        raise UsageError(
            f"the results are accuracies of classifiers, and the bundles are {next(iter(nouns.values()))}",
            value=names,
            remedy="--compare without results",
        )
    if Ber.name not in kinds:
        raise UsageError(
            "the results are measured at bit error rates, and the bundles are told an SNR",
            value=names,
            remedy="--compare without results",
        )


def choose(datasets: Mapping[str, str], results: Sequence[RunResult]) -> Chosen:
    """The results that may stand beside the bundles: those of their data set and of what is compared.

    A result that does not say its data set is taken for one of the bundles', and a note says so.

    Args:
        datasets: bundle's name -> name of the data set that it is measured on.

    Raises:
        UsageError: bundles of several data sets beside results; none of the results is of the experiment
            that is shown, or none of those is of the bundles' data set.
    """
    if not results:
        return Chosen([], [])
    bundles = ", ".join(f"{name} is measured on {dataset}" for name, dataset in datasets.items())
    if len(set(datasets.values())) > 1:
        raise UsageError(
            "results stand beside bundles of one data set only",
            value=f"{bundles}; results: {counted(map(_said, results))}",
            remedy="make one report for each data set, or --compare without results",
        )
    (dataset,) = set(datasets.values())
    compared = [result for result in results if result.experiment == EXPERIMENT]
    if not compared:
        raise UsageError(
            f"a report shows the results of experiment {EXPERIMENT}, and there are none",
            value=counted(result.experiment for result in results),
            remedy=f"--compare experiments/results/{EXPERIMENT}, or --compare without results",
        )
    shown = [result for result in compared if result.dataset in (None, dataset)]
    if not shown:
        raise UsageError(
            "the results are of another data set than the bundles",
            value=f"{bundles}; results of experiment {EXPERIMENT}: {counted(map(_said, compared))}",
            remedy=f"results of {dataset}, bundles of the results' data set, or --compare without results",
        )
    return Chosen(shown, _notes(dataset, results, shown))


def _notes(dataset: str, results: Sequence[RunResult], shown: Sequence[RunResult]) -> list[str]:
    found = []
    elsewhere = [str(result.dataset) for result in results if result.dataset not in (None, dataset)]
    if elsewhere:
        what = _results(len(elsewhere))
        found.append(f"left out: {what} of other data sets than {dataset}: {counted(elsewhere)}")
    here = [result for result in results if result.dataset in (None, dataset)]
    others = [result.experiment for result in here if result.experiment != EXPERIMENT]
    if others:
        what = _results(len(others))
        found.append(f"left out: {what} of experiments that a report does not show: {counted(others)}")
    silent = sum(result.dataset is None for result in shown)
    if silent:
        found.append(f"{_results(silent)} without the name of a data set, taken for results of {dataset}")
    return found


def _said(result: RunResult) -> str:
    return result.dataset or "not said"


def _results(count: int) -> str:
    return f"{count} result" if count == 1 else f"{count} results"


def counted(names: Iterable[str]) -> str:
    """How often each name occurs, by name.

    >>> counted(["b", "a", "b"])
    'a (1), b (2)'
    """
    return ", ".join(f"{name} ({count})" for name, count in sorted(Counter(names).items()))
