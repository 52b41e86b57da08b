"""The tables and plots of docs/experiments/multires.md, out of results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from experiments.multires import names
from experiments.multires.results import Result, Row
from semflash.report.plots import Axes, Line, line_chart, svg

NOTHING = "Not measured yet."
#: Arms of the plot of accuracy.
PLOTTED = (names.SINGLE, names.ORACLE, names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.CHANCE)

Results = Sequence[Result]


def all_blocks(found: Results) -> dict[str, str]:
    """Every generated part by name."""
    made: dict[str, Callable[[Results], str]] = {
        "goals": goals,
        "teacher": teacher,
        "student": student,
        "levels": levels,
        "accuracy": lambda all_of: accuracy(all_of, "codec"),
        "gains": gains,
        "object": object_errors,
        "untuned": lambda all_of: accuracy(all_of, "untuned"),
        "another": lambda all_of: accuracy(all_of, "another classifier"),
        "int8": int8,
        "errors": errors,
        "trained": trained,
    }
    return {name: make(found) for name, make in made.items()}


def all_plots(found: Results) -> dict[str, str]:
    """Accuracy over the rate."""
    results = _of(found, "codec")
    if not results:
        return {}
    lines = []
    for arm in PLOTTED:
        known = [(rate, value) for rate in names.RATES if (value := _mean(results, arm, rate)) is not None]
        if known:
            lines.append(Line(names.TITLES[arm], [float(r) for r, _ in known], [100 * v for _, v in known]))
    axes = Axes("Accuracy by rate, 4,000 test images", "bytes of an image", "right labels, %", "bytes")
    return {"accuracy": svg(line_chart(lines, axes), in_page=False)}


def goals(found: Results) -> str:
    """What was to be reached, and what was."""
    codecs, teachers = _of(found, "codec"), _of(found, "teacher")
    if not codecs or not teachers:
        return NOTHING
    test = teachers[0].figures["test"]
    last, learnt = test["last block, smoothed 0"], test["rollout, smoothed 0.8"]
    student_of = [result.figures["student"] for result in codecs]
    likeness = [float(np.mean([one[key] for one in student_of])) for key in ("spearman", "best_in_common")]
    rows: list[tuple[str, str, str, bool]] = [
        ("transformer: accuracy", "75 % or more", _share(test["accuracy"]), test["accuracy"] >= 0.75),
        (
            "pointing game of the last block; of what the student learns",
            "0.85 or more",
            f"{last['pointing']:.3f}; {learnt['pointing']:.3f}",
            min(last["pointing"], learnt["pointing"]) >= 0.85,
        ),
        ("AUC of the last block's row CLS", "0.85 or more", f"{last['auc']:.3f}", last["auc"] >= 0.85),
        ("AUC of what the student learns", "0.85 or more", f"{learnt['auc']:.3f}", learnt["auc"] >= 0.85),
        ("student: Spearman", "0.75 or more", f"{likeness[0]:.3f}", likeness[0] >= 0.75),
        ("student: 8 best in common", "0.70 or more", f"{likeness[1]:.3f}", likeness[1] >= 0.70),
    ]
    for arm, goal in ((names.STUDENT_VARIANCE, 15.0), (names.STUDENT, 10.0)):
        more = [100 * _over(codecs, arm, names.SINGLE, rate) for rate in names.RATES[:2]]
        shown = ", ".join(f"{each:+.1f}" for each in more)
        title = f"{names.TITLES[arm]} over a single resolution at 64 and 128 bytes"
        rows.append((title, f"{goal:+.0f} points", shown, min(more) >= goal))
    lower = min(100 * _over(codecs, names.STUDENT_VARIANCE, names.SINGLE, rate) for rate in names.RATES)
    rows.append(
        ("the same at any rate", "never lower by more than 1", f"{lower:+.1f} at the least", lower >= -1)
    )
    beside = [100 * _over(codecs, names.STUDENT_VARIANCE, names.VARIANCE, rate) for rate in names.RATES[:2]]
    shown = ", ".join(f"{each:+.1f}" for each in beside)
    rows.append(
        ("attention x variance over local contrast at 64 and 128 bytes", "above", shown, min(beside) > 0)
    )
    missing = 100 * _over(codecs, names.ORACLE, names.STUDENT_VARIANCE, names.RATES[0])
    rows.append(("to the mask of the object at 64 bytes", "6 points or less", f"{missing:.1f}", missing <= 6))
    errors = [
        float(np.mean([row.object_mse for row in _rows(codecs, arm, names.RATES[1])]))
        for arm in (names.STUDENT_VARIANCE, names.SINGLE)
    ]
    ratio = errors[0] / errors[1]
    rows.append(
        ("error over the object at 128 bytes, of a single resolution's", "half", f"{ratio:.2f}", ratio <= 0.5)
    )
    lines = _head("what", "goal", "found", "met")
    return "\n".join([*lines, *(_line((*cells, "yes" if met else "**no**")) for *cells, met in rows)])


def teacher(found: Results) -> str:
    """Accuracy, pointing game and AUC of the transformer and of the local contrast."""
    results = _of(found, "teacher")
    if not results:
        return NOTHING
    lines = _head("split", "what", "accuracy", "pointing game", "AUC", "recall", "on the object")
    for split, one in results[0].figures.items():
        for name, each in one.items():
            if not isinstance(each, dict):
                continue
            share = _share(one["accuracy"]) if name != "local contrast" else ""
            mass = f"{each['mass']:.3f}" if "mass" in each else ""
            cells = (split, name, share, *(f"{each[key]:.3f}" for key in ("pointing", "auc", "recall")), mass)
            lines.append(_line(cells))
        lines.append(
            _line((split, "chance", "", f"{one['chance']:.3f}", "0.500", "", f"{one['chance']:.3f}"))
        )
    return "\n".join(lines)


def student(found: Results) -> str:
    """How alike student and teacher rank the patches, on the test split."""
    lines = _head("seed", "numbers", "Spearman", "8 best in common", "pointing game", "AUC")
    for result in _of(found, "codec"):
        one = result.figures["student"]
        cells = (f"{one[key]:.3f}" for key in ("spearman", "best_in_common", "pointing", "auc"))
        lines.append(_line((result.seed, "float", *cells)))
    for result in _of(found, "int8"):
        for name in ("float", "int8"):
            one = result.figures["scores"][name]
            lines.append(
                _line(
                    (
                        result.seed,
                        f"{name}, 2,000 images",
                        f"{one['spearman']:.3f}",
                        f"{one['best_in_common']:.3f}",
                        "",
                        "",
                    )
                )
            )
    return "\n".join(lines) if len(lines) > 2 else NOTHING


def levels(found: Results) -> str:
    """Mean squared error of each coder, before and after its training."""
    results = _of(found, "coders")
    if not results:
        return NOTHING
    figures = results[0].figures
    lines = _head("bits of a patch", "closed form", "trained", "less")
    for bits in sorted(figures["closed_form"], key=int):
        before, after = figures["closed_form"][bits], figures["mse"][bits]
        lines.append(_line((bits, f"{before:.0f}", f"{after:.0f}", f"{1 - after / before:.1%}")))
    return "\n".join(lines)


def accuracy(found: Results, variant: str) -> str:
    """Accuracy on the test split, mean over the seeds, with the spread between them."""
    results = _of(found, variant)
    if not results:
        return NOTHING
    more = _of(found, "formats") if variant == "codec" else []
    return _by_rate([*results, *more], lambda row: row.accuracy, _share, 100)


def object_errors(found: Results) -> str:
    """Mean squared error over the object's patches."""
    results = _of(found, "codec")
    return (
        _by_rate(results, lambda row: row.object_mse, lambda value: f"{value:.0f}", 1) if results else NOTHING
    )


def gains(found: Results) -> str:
    """Points over a single resolution, and to the mask of the object."""
    results = _of(found, "codec")
    if not results:
        return NOTHING
    lines = _head(
        "bytes", "attention alone", "attention x variance", "local contrast", "oracle", "to the oracle"
    )
    for rate in names.RATES:
        base = _mean(results, names.SINGLE, rate)
        cells = [str(rate)]
        for arm in (names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.ORACLE):
            value = _mean(results, arm, rate)
            cells.append("" if value is None or base is None else f"{100 * (value - base):+.1f}")
        best, own = _mean(results, names.ORACLE, rate), _mean(results, names.STUDENT_VARIANCE, rate)
        cells.append("" if best is None or own is None else f"{100 * (best - own):.1f}")
        lines.append(_line(cells))
    return "\n".join(lines)


def int8(found: Results) -> str:
    """The device in integers by rate."""
    results = _of(found, "int8")
    if not results:
        return NOTHING
    lines = _head("told, bytes", "sent, bytes (mean)", "accuracy")
    lines += [_line((row.rate, f"{row.bits / 8:.1f}", _share(row.accuracy))) for row in results[0].rows]
    return "\n".join(lines)


def errors(found: Results) -> str:
    """Accuracy over bit errors, plain and protected."""
    results = _of(found, "errors")
    if not results:
        return NOTHING
    rows = results[0].rows
    lines = _head("bit error rate", "plain: accuracy", "maps lost", "protected: accuracy", "maps lost")
    for ber in sorted({row.ber for row in rows}):
        pair = [next(r for r in rows if r.ber == ber and r.protected == flag) for flag in (False, True)]
        cells = [text for row in pair for text in (_share(row.accuracy), f"{row.lost:.2%}")]
        lines.append(_line((f"{ber:.2%}", *cells)))
    return "\n".join(lines)


def trained(found: Results) -> str:
    """What was trained, and how long it took."""
    lines = _head("job", "seed", "training, minutes", "measuring, minutes")
    for result in found:
        seconds = result.seconds
        lines.append(
            _line(
                (
                    result.variant,
                    result.seed,
                    f"{seconds['training'] / 60:.0f}",
                    f"{max(0.0, seconds['job']) / 60:.0f}",
                )
            )
        )
    return "\n".join(lines) if found else NOTHING


def _by_rate(
    results: Results, value_of: Callable[[Row], float], shown: Callable[[float], str], scale: float
) -> str:
    """A line for each arm, a column for each rate."""
    lines = _head("", *(f"{rate} bytes" for rate in names.RATES))
    arms = {row.arm for result in results for row in result.rows}
    for arm in (each for each in names.TITLES if each in arms):
        cells = []
        for rate in names.RATES:
            values = [value_of(row) for row in _rows(results, arm, rate)]
            text = shown(float(np.mean(values))) if values else ""
            if len(values) > 1:
                text += f" ± {scale * float(np.std(values, ddof=1)):.1f}"
            cells.append(text)
        lines.append(_line((names.TITLES[arm], *cells)))
    return "\n".join(lines)


def _of(found: Results, variant: str) -> list[Result]:
    return sorted((each for each in found if each.variant == variant), key=lambda one: one.seed)


def _rows(results: Results, arm: str, rate: int) -> Iterable[Row]:
    for result in results:
        yield from (r for r in result.rows if (r.arm, r.rate, r.split) == (arm, rate, "test"))


def _over(results: Results, arm: str, other: str, rate: int) -> float:
    """How much more accurate one way is than another, a share."""
    one, than = _mean(results, arm, rate), _mean(results, other, rate)
    return float("nan") if one is None or than is None else one - than


def _mean(results: Results, arm: str, rate: int) -> float | None:
    values = [row.accuracy for row in _rows(results, arm, rate)]
    return float(np.mean(values)) if values else None


def _share(value: float) -> str:
    return f"{value:.1%}"


def _head(*cells: Any) -> list[str]:
    return [_line(cells), "|" + " --- |" * len(cells)]


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
