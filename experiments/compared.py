"""Statements that are computed: goals, SemanticNN against every other method, the worth of each part."""

from __future__ import annotations

from experiments.markdown import table
from experiments.material import (
    BERS,
    GOALS,
    OWN,
    SEARCHED,
    Material,
    caption,
    cell,
    missing,
    percent,
    seeds,
)  # fmt: skip
from semflash.edge.report.statistics import Mean, Series, above, ordered, series


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
    return table(head, rows) if rows else missing("ber")


def claims(material: Material) -> str:
    """SemanticNN against the best of the others at each rate; the statement is computed."""
    rows = []
    for size in GOALS:
        found = series(material.of("ber", payload_bytes=size), where=lambda r: r.budget.name == "comparison")
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
    head = ["payload", "BER", "SemanticNN", "best other method", "its accuracy", "points above",
            "above every other by more than the spread"]  # fmt: skip
    return table(head, rows) if rows else missing("ber")


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
    """Each variant beside the whole method: accuracy, and what the part is worth."""
    results = material.of("ablations")
    found = series(results)
    whole = next((one for one in found if one.subject.variant == "the whole method"), None)
    rows = []
    for one in found:
        cells = [cell(one.bsc(rate)) for rate in BERS]
        effect = "–" if whole is None or one is whole else worth(whole, one)
        rows.append([one.subject.variant, seeds(one), *cells, effect])
    head = ["variant", "seeds", *(percent(rate) for rate in BERS), "the part, at BER 0 / 1 / 5 %"]
    return f"{table(head, rows)}\n\n{caption(results)}" if rows else missing("ablations")


def worth(whole: Series, without: Series) -> str:
    """Whether the part helps, hurts or makes no difference by more than the spread, with its points."""
    words = []
    for rate in SEARCHED:
        one, other = whole.bsc(rate), without.bsc(rate)
        if one is None or other is None:
            words.append("–")
            continue
        points = f"{100 * (one.mean - other.mean):+.2f}"
        word = "helps" if above(one, other) else "hurts" if above(other, one) else "within the spread"
        words.append(f"{points} {word}" if above(one, other) is not None else f"{points}, one seed")
    return " / ".join(words)
