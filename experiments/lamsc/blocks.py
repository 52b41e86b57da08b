"""The tables of docs/experiments/lamsc.md, out of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.lamsc import names
from experiments.lamsc.results import Result, Row

NOTHING = "Not measured yet."

Results = Sequence[Result]


def all_blocks(found: Results) -> dict[str, str]:
    """Every generated part by name."""
    made: dict[str, Callable[[Results], str]] = {
        "bases": bases,
        "evidence": evidence,
        "attention": attention,
        "trained": trained,
    }
    return {name: make(found) for name, make in made.items()}


def bases(found: Results) -> str:
    """What each knowledge base could tell, and what its student has learnt."""
    results = _knowledge(found)
    if not results:
        return NOTHING
    lines = _head(
        "segments",
        "images: train, test",
        "of an image",
        "IoU of the best choice",
        "AUC of the best choice",
        "AUC of the size rule",
        "AUC, pointing of the student",
    )
    for one in results:
        rows = {row.arm: row for row in one.rows}
        cells = (
            one.variant,
            f"{one.figures['train_images']:,}, {one.figures['test_images']:,}",
            f"{one.figures['segments']:.1f}",
            f"{one.figures['reach']:.2f}",
            f"{rows[names.BEST].auc:.3f}",
            f"{rows[names.RULED].auc:.3f}",
            _figures(rows.get(names.STUDENT)),
        )
        lines.append(_line(cells))
    return "\n".join(lines)


def evidence(found: Results) -> str:
    """AUC and pointing of each evidence, by knowledge base."""
    return _by_base(found, (names.BEST, *names.EVIDENCE, "attention-both", names.STUDENT))


def attention(found: Results) -> str:
    """Attention's parts, where all of them are measured."""
    arms = tuple(f"attention-{parts}" for parts in names.ATTENTION)
    return _by_base(found, (names.RULED, *arms), whole=True)


def trained(found: Results) -> str:
    """How long each job took."""
    if not found:
        return NOTHING
    lines = _head("job", "minutes")
    lines += [_line((one.job, f"{one.seconds['job'] / 60:.0f}")) for one in found]
    return "\n".join(lines)


def _by_base(found: Results, arms: Sequence[str], *, whole: bool = False) -> str:
    """A line for each arm: AUC and pointing of each knowledge base; `whole`: of those that have all arms."""
    rows = {one.variant: {row.arm: row for row in one.rows} for one in _knowledge(found)}
    if whole:
        rows = {base: there for base, there in rows.items() if set(arms) <= set(there)}
    if not rows:
        return NOTHING
    lines = _head("AUC, pointing", *rows)
    for arm in arms:
        lines.append(_line((names.TITLES[arm], *(_figures(there.get(arm)) for there in rows.values()))))
    return "\n".join(lines)


def _figures(row: Row | None) -> str:
    return "" if row is None else f"{row.auc:.3f}, {row.pointing:.0%}"


def _knowledge(found: Results) -> list[Result]:
    order = {base: index for index, base in enumerate(names.BASES)}
    return sorted((one for one in found if one.group == "knowledge"), key=lambda one: order[one.variant])


def _head(*cells: str) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
