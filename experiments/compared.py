"""Statements that are computed: goals, SemanticNN against every other method, the worth of each part."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial

from experiments.markdown import table
from experiments.material import (
    BERS,
    GOALS,
    OWN,
    Material,
    budget_lines,
    caption,
    cell,
    missing,
    percent,
    seeds,
)
from semflash.report.results import RunResult
from semflash.report.statistics import Condition, Mean, above, ordered, series

WHOLE = "the whole method"


def goals(material: Material) -> str:
    """SemanticNN below the task network, beside what was wanted."""
    rows = []
    for size, wanted in GOALS.items():
        for one in ordered(series(material.of("ber", method=OWN, payload_bytes=size))):
            task = material.task(one.subject.budget)
            for rate, limit in wanted.items():
                mean = one.bsc(rate)
                if mean is None:
                    continue
                if task is None:
                    unknown = "task network not measured"
                    rows.append(
                        [f"{size} B", one.subject.budget, percent(rate), "–", f"{limit:.1f}", unknown]
                    )
                    continue
                points = 100 * (task.mean - mean.mean)
                verdict = "yes" if points <= limit else "**no**"
                rows.append(
                    [f"{size} B", one.subject.budget, percent(rate), f"{points:.2f}", f"{limit:.1f}", verdict]
                )
    head = ["payload", "budget", "BER", "points below the task network", "goal", "met"]
    return (
        f"{table(head, rows)}\n\n{budget_lines(material.of('ber', method=OWN))}" if rows else missing("ber")
    )


def _has_size(size: int, result: RunResult) -> bool:
    return result.payload_bytes == size


def claims(material: Material) -> str:
    """SemanticNN against the best of the others at each rate; the statement is computed."""
    results = [result for result in material.of("ber") if result.budget.name == "comparison"]
    rows = []
    for size in GOALS:
        found = series(results, where=partial(_has_size, size))
        own = next((one for one in found if one.subject.method == OWN), None)
        if own is None:
            continue
        for rate in BERS:
            mean = own.bsc(rate)
            rivals = [
                (other, one.name(framing))
                for one in found
                for framing in one.framings()
                if one.subject.method != OWN and (other := one.bsc(rate, framing)) is not None
            ]
            if mean is None or not rivals:
                continue
            rows.append([f"{size} B", percent(rate), cell(mean), *against(mean, rivals)])
    head = [
        "payload",
        "BER",
        "SemanticNN",
        "best other method",
        "its accuracy",
        "points above",
        "above every other by more than the spread",
    ]
    return f"{table(head, rows)}\n\n{caption(results)}" if rows else missing("ber")


def against(mean: Mean, rivals: list[tuple[Mean, str]]) -> list[str]:
    """The best rival, its accuracy, the distance, and whether all are below by more than the spread.

    Every rival is compared, because one below the best in the mean may have the wider spread.
    """
    best, name = max(rivals, key=lambda pair: pair[0].mean)
    verdicts = [(above(mean, other), title) for other, title in rivals]
    if any(verdict is None for verdict, _ in verdicts):
        word = "not to be said: one seed"
    else:
        failing = [title for verdict, title in verdicts if not verdict]
        word = "yes" if not failing else f"no: {'; '.join(failing)}"
    return [name, cell(best), f"{100 * (mean.mean - best.mean):+.2f}", word]


def ablations(material: Material) -> str:
    """Each variant beside the whole method, then the whole method less each variant, seed by seed."""
    results = material.of("ablations")
    found = series(results)
    rows = [[one.subject.variant, seeds(one), *(cell(one.bsc(rate)) for rate in BERS)] for one in found]
    if not rows:
        return missing("ablations")
    head = ["variant", "seeds", *(percent(rate) for rate in BERS)]
    less = [
        [one.subject.variant, *(difference(results, one.subject.variant, rate) for rate in BERS)]
        for one in found
        if one.subject.variant != WHOLE
    ]
    beside = table(["the whole method less", *(percent(rate) for rate in BERS)], less) if less else ""
    return f"{table(head, rows)}\n\n{caption(results)}\n\n{beside}".rstrip()


def difference(results: Sequence[RunResult], variant: str, rate: float) -> str:
    """Points that the whole method is above a variant: mean and spread of the differences within a seed; bold
    where the mean is further from 0 than the spread."""
    whole, other = (at(results, name, rate) for name in (WHOLE, variant))
    both = sorted(whole.keys() & other.keys())
    if not both:
        return "–"
    points = [100 * (whole[seed] - other[seed]) for seed in both]
    middle = statistics.fmean(points)
    if len(points) == 1:
        return f"{middle:+.2f}"
    spread = statistics.stdev(points)
    text = f"{middle:+.2f} ± {spread:.2f}"
    return f"**{text}**" if abs(middle) > spread else text


def at(results: Sequence[RunResult], variant: str, rate: float) -> dict[int, float]:
    """Seed -> test accuracy of a variant at a bit error rate."""
    condition = Condition("bsc", rate)
    return {
        result.seed: row.value
        for result in results
        if result.variant == variant
        for row in result.rows
        if row.split == "test" and Condition.of(row) == condition
    }
