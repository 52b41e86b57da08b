"""The chart of ``semflash evaluate --plot``: the first metric of an evaluation against channel quality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semflash import atomic
from semflash.edge.evaluate import Evaluation
from semflash.edge.records import check_writable
from semflash.errors import UsageError


def check_plot(path: Path) -> None:
    """Whether `plot` can write `path`; asked before the measurement, which takes minutes.

    Raises:
        ModuleNotFoundError: matplotlib is missing (extra ``plot``).
        UsageError: another suffix, or no such folder.
    """
    if path.suffix not in (".png", ".svg"):
        raise UsageError("plots are written as .png or .svg", value=path.name, remedy="--plot accuracy.svg")
    check_writable(path, "--plot")
    import matplotlib  # noqa: F401


def plot(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw the first metric against the level, one line per evaluation, as PNG or SVG (by the file's suffix).

    Args:
        evaluations: Of one kind of quality and one metric.
        path: The file to write.

    Raises: as `check_plot`.
    """
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for evaluation in evaluations:
        metric, quality = evaluation.measurement.metric, evaluation.quality
        points = sorted(evaluation.measurement.points, key=lambda p: p.level)
        levels = [quality.shown(p.level) for p in points]
        values, lows, highs = (
            [metric.scale * getattr(p.score, name) for p in points] for name in ("value", "low", "high")
        )
        bounds = [
            [value - low for value, low in zip(values, lows, strict=True)],
            [high - value for value, high in zip(values, highs, strict=True)],
        ]
        most = "at most " if evaluation.varies else ""
        label = f"{evaluation.bundle}, {most}{evaluation.payload_bytes} B per image"
        label += f", {evaluation.fading.words}" if evaluation.fading else ""
        axes.errorbar(levels, values, yerr=bounds, marker="o", capsize=3, label=label)
        for x, y, point in zip(levels, values, points, strict=True):
            set_to = evaluation.controls.get(point.level, {})
            text = " ".join(str(set_to[name]) for name in sorted(set_to))
            axes.annotate(text, (x, y), textcoords="offset points", xytext=(5, -11), fontsize=8)
        if evaluation.task_value is not None:
            level = metric.scale * evaluation.task_value
            axes.axhline(level, linestyle="--", color="grey", label="task network")
    first = evaluations[0]
    quality, metric = first.quality, first.measurement.metric
    if quality.scale == "ber":
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(left=0)
    unit = f",{metric.sign}" if metric.sign else ""
    axes.set(xlabel=f"injected {quality.title}, {quality.unit}", ylabel=f"{metric.title}{unit}")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic.replacing(path, durable=False) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=150)
    plt.close(figure)
