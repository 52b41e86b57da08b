"""The tables and plots of docs/experiments/multires.md, out of results."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from experiments.multires import names
from experiments.multires.goals import goals
from experiments.multires.lines import NOTHING, Results, head, line, mean, of, rows_of, share
from experiments.multires.results import Result, Row
from semflash.report.plots import Axes, Line, line_chart, svg

#: Arms of the plot of accuracy.
PLOTTED = (names.SINGLE, names.ORACLE, names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.CHANCE)


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
        "board": board,
        "task coders": task_coders,
        "trained": trained,
    }
    return {name: make(found) for name, make in made.items()}


def all_plots(found: Results) -> dict[str, str]:
    """Accuracy over the rate."""
    results = of(found, "codec")
    if not results:
        return {}
    lines = []
    for arm in PLOTTED:
        known = [(rate, value) for rate in names.RATES if (value := mean(results, arm, rate)) is not None]
        if known:
            lines.append(Line(names.TITLES[arm], [float(r) for r, _ in known], [100 * v for _, v in known]))
    axes = Axes("Accuracy by rate, 4,000 test images", "bytes of an image", "right labels, %", "bytes")
    return {"accuracy": svg(line_chart(lines, axes), in_page=False)}


def teacher(found: Results) -> str:
    """Accuracy, pointing game and AUC of the transformer and of the local contrast."""
    results = of(found, "teacher")
    if not results:
        return NOTHING
    lines = head("split", "what", "accuracy", "pointing game", "AUC", "recall", "on the object")
    for split, one in results[0].figures.items():
        for name, each in one.items():
            if not isinstance(each, dict):
                continue
            right = share(one["accuracy"]) if name != "local contrast" else ""
            mass = f"{each['mass']:.3f}" if "mass" in each else ""
            cells = (split, name, right, *(f"{each[key]:.3f}" for key in ("pointing", "auc", "recall")), mass)
            lines.append(line(cells))
        lines.append(line((split, "chance", "", f"{one['chance']:.3f}", "0.500", "", f"{one['chance']:.3f}")))
    return "\n".join(lines)


def student(found: Results) -> str:
    """How alike student and teacher rank the patches, on the test split."""
    lines = head("seed", "numbers", "Spearman", "8 best in common", "pointing game", "AUC")
    for result in of(found, "codec"):
        one = result.figures["student"]
        cells = (f"{one[key]:.3f}" for key in ("spearman", "best_in_common", "pointing", "auc"))
        lines.append(line((result.seed, "float", *cells)))
    for result in of(found, "int8"):
        for name in ("float", "int8"):
            one = result.figures["scores"][name]
            lines.append(
                line(
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
    results = of(found, "coders")
    if not results:
        return NOTHING
    figures = results[0].figures
    lines = head("bits of a patch", "closed form", "trained", "less")
    for bits in sorted(figures["closed_form"], key=int):
        before, after = figures["closed_form"][bits], figures["mse"][bits]
        lines.append(line((bits, f"{before:.0f}", f"{after:.0f}", f"{1 - after / before:.1%}")))
    return "\n".join(lines)


def accuracy(found: Results, variant: str) -> str:
    """Accuracy on the test split, mean over the seeds, with the spread between them."""
    results = of(found, variant)
    if not results:
        return NOTHING
    more = [each for each in found if _beside(each)] if variant == "codec" else []
    return _by_rate([*results, *more], lambda row: row.accuracy, share, 100)


def _beside(result: Result) -> bool:
    """Whether a result is of codecs that stand beside ours: image formats, and those of other papers."""
    return result.variant == "formats" or any(row.arm in names.COMPARED for row in result.rows)


def object_errors(found: Results) -> str:
    """Mean squared error over the object's patches."""
    results = of(found, "codec")
    return (
        _by_rate(results, lambda row: row.object_mse, lambda value: f"{value:.0f}", 1) if results else NOTHING
    )


def gains(found: Results) -> str:
    """Points over a single resolution, and to the mask of the object."""
    results = of(found, "codec")
    if not results:
        return NOTHING
    lines = head(
        "bytes", "attention alone", "attention x variance", "local contrast", "oracle", "to the oracle"
    )
    for rate in names.RATES:
        base = mean(results, names.SINGLE, rate)
        cells = [str(rate)]
        for arm in (names.STUDENT, names.STUDENT_VARIANCE, names.VARIANCE, names.ORACLE):
            value = mean(results, arm, rate)
            cells.append("" if value is None or base is None else f"{100 * (value - base):+.1f}")
        best, own = mean(results, names.ORACLE, rate), mean(results, names.STUDENT_VARIANCE, rate)
        cells.append("" if best is None or own is None else f"{100 * (best - own):.1f}")
        lines.append(line(cells))
    return "\n".join(lines)


def int8(found: Results) -> str:
    """The device in integers by rate."""
    results = of(found, "int8")
    if not results:
        return NOTHING
    lines = head("told, bytes", "sent, bytes (mean)", "accuracy")
    lines += [line((row.rate, f"{row.bits / 8:.1f}", share(row.accuracy))) for row in results[0].rows]
    return "\n".join(lines)


def errors(found: Results) -> str:
    """Accuracy over bit errors, plain and protected."""
    results = of(found, "errors")
    if not results:
        return NOTHING
    rows = results[0].rows
    lines = head("bit error rate", "plain: accuracy", "maps lost", "protected: accuracy", "maps lost")
    for ber in sorted({row.ber for row in rows}):
        pair = [next(r for r in rows if r.ber == ber and r.protected == flag) for flag in (False, True)]
        cells = [text for row in pair for text in (share(row.accuracy), f"{row.lost:.2%}")]
        lines.append(line((f"{ber:.2%}", *cells)))
    return "\n".join(lines)


def board(found: Results) -> str:
    """Rates that change with every image, on a board."""
    results = of(found, "board")
    if not results:
        return NOTHING
    lines = head("board", "images", "rates", "told, bytes (mean)", "sent", "longest", "above the rate")
    lines[0] += " unlike the reference | accuracy | offline | images a second |"
    lines[1] += " --- |" * 4
    for result in results:
        one, how = result.figures, result.settings
        cells = (
            f"`{how['board']}`",
            f"{how['images']:,}",
            f"`{how['rate_trace']}`",
            f"{one['told_bytes']:.1f}",
            f"{one['sent_bytes']:.1f}",
            one["longest_bytes"],
            one["over_rate"],
            one["unlike_reference"],
            share(one["accuracy"]),
            share(one["offline_accuracy"]),
            f"{one['images_per_s']:.1f}",
        )
        lines.append(line(cells))
    return "\n".join(lines)


def task_coders(found: Results) -> str:
    """Coders that learn the task network's features beside the squared error, and those that do not."""
    results = of(found, "task coders")
    if not results:
        return NOTHING
    lines = head("coders", "classifier", "way", *(f"{rate} bytes" for rate in names.RATES[:2]))
    plain = {
        name: [msgspec.convert(row, Row) for row in rows]
        for name, rows in results[0].figures["plain"].items()
    }
    own = [row for codec in of(found, "codec")[:1] for row in codec.rows]
    parts = [(name, "task network as it is", rows) for name, rows in plain.items()]
    parts += [("squared error", "tail", own), ("features", "tail, never saw them", results[0].rows)]
    for coders, classifier, rows in parts:
        for arm in (names.SINGLE, names.ORACLE, names.STUDENT_VARIANCE):
            cells = [
                f"{share(row.accuracy)} (error of the object {row.object_mse:.0f})"
                for rate in names.RATES[:2]
                for row in rows
                if (row.arm, row.rate, row.split) == (arm, rate, "test")
            ]
            lines.append(line((coders, classifier, names.TITLES[arm], *cells)))
    return "\n".join(lines)


def trained(found: Results) -> str:
    """What was trained, and how long it took."""
    lines = head("job", "seed", "training, minutes", "measuring, minutes")
    for result in found:
        seconds = result.seconds
        lines.append(
            line(
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
    lines = head("", *(f"{rate} bytes" for rate in names.RATES))
    arms = {row.arm for result in results for row in result.rows}
    for arm in (each for each in names.TITLES if each in arms):
        cells = []
        for rate in names.RATES:
            values = [value_of(row) for row in rows_of(results, arm, rate)]
            text = shown(float(np.mean(values))) if values else ""
            if len(values) > 1:
                text += f" ± {scale * float(np.std(values, ddof=1)):.1f}"
            cells.append(text)
        lines.append(line((names.TITLES[arm], *cells)))
    return "\n".join(lines)
