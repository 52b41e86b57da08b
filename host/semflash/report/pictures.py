"""The charts of the report as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Point
from semflash.program.quality import Ber, Snr
from semflash.report import plots, scene_grid
from semflash.report.channel import marks as marks_at
from semflash.report.plots import Axes, Line
from semflash.report.statistics import Series
from semflash.report.view import BundleView
from semflash.report.wording import Words

Kind = type[Ber] | type[Snr]
#: Classes whose names fit below a chart.
SHOWN_CLASSES = 24


def against_quality(
    views: Sequence[BundleView], others: Sequence[Series], size: int, words: Words, quality: Kind
) -> Any:
    """The figure of merit against quality: bundles with their intervals, experiments with their spread."""
    lines = []
    for view in views:
        points = sorted(view.evaluation.measurement.points, key=lambda p: p.level)
        levels = [quality.shown(p.level) for p in points]
        values = [words.shown(p.score.value) for p in points]
        set_to = [marks_at(view, point.level) for point in points]
        lines.append(Line(f"{view.bundle.name} (int8)", levels, values, _bars(points, words), set_to))
    for one in others:
        for framing in one.framings():
            pairs = one.line(framing)
            levels = [quality.shown(rate) for rate, _ in pairs]
            values = [100 * mean.mean for _, mean in pairs]
            spread = [100 * (mean.spread or 0.0) for _, mean in pairs]
            lines.append(Line(one.name(framing, budget=True), levels, values, spread))
    tasks = {view.evaluation.task_value for view in views} - {None}
    one_data_set = len({view.evaluation.measurement.dataset for view in views}) == 1
    level = None
    if tasks and one_data_set:
        level = "task network, uncompressed", words.shown(max(t for t in tasks if t is not None))
    axes = Axes(f"{size} bytes per image", f"{quality.title}, {quality.unit}", words.axis, quality.scale)
    return plots.line_chart(lines, axes, level, legend_below=True)


def _bars(points: Sequence[Point], words: Words) -> tuple[list[float], list[float]]:
    """Below and above each point, as on the axis."""
    scores = [point.score for point in points]
    return [words.shown(s.value - s.low) for s in scores], [words.shown(s.high - s.value) for s in scores]


def against_bytes(
    views: Sequence[BundleView], others: Sequence[Series], level: float, words: Words, quality: Kind
) -> Any:
    """The figure of merit by bytes sent at one level: a line for a data set's bundles and each method."""
    groups: dict[str, list[tuple[float, float, float, float]]] = {}
    for view in views:
        point = view.evaluation.measurement.at(level)
        if point is not None:
            name = f"bundles, {view.evaluation.measurement.dataset} (int8)"
            value, low, high = point.score.value, point.score.low, point.score.high
            mark = (view.sent(level), value, value - low, high - value)
            groups.setdefault(name, []).append(mark)
    for one in others:
        for framing in one.framings():
            mean, sent = one.bsc(level, framing), one.bytes_sent(level, framing)
            if mean is not None and sent is not None:
                spread = mean.spread or 0.0
                mark = (sent, mean.mean, spread, spread)
                groups.setdefault(one.name(framing, budget=True), []).append(mark)
    lines = []
    for name, marks in groups.items():
        x, *rest = zip(*sorted(marks), strict=True)
        y, below, above = ([words.shown(value) for value in column] for column in rest)
        lines.append(Line(name, x, y, (below, above)))
    axes = Axes(quality.text(level), "bytes sent per image", words.axis, "bytes")
    return plots.line_chart(lines, axes, legend_below=True)


def code_use(view: BundleView) -> Any:
    """Share of each code."""
    names = [f"{index}\n{centre:.2f}" for index, centre in enumerate(view.centres)]
    axes = Axes(view.bundle.name, "code and its centre", "share of codes, %")
    return plots.bar_chart([100 * float(u) for u in view.use], names, axes, 100 / len(names))


def features(view: BundleView) -> Any:
    """Grid: image, decoded features at both rates, importance."""
    pictures: list[list[NDArray[Any]]] = [
        [one.image, one.features_clean, one.features_damaged, one.importance] for one in view.examples
    ]
    rows = [example.name for example in view.examples]
    quality = view.quality
    clean, damaged = quality.text(quality.main[0]), quality.text(quality.damaged)
    columns = ["image", f"features,\n{clean}", f"features,\n{damaged}", "importance"]
    return plots.picture_grid(pictures, rows, columns)


def confusion(bundle: Bundle, counts: NDArray[np.int64]) -> Any:
    """The confusion matrix."""
    axes = Axes(f"{bundle.name}, {bundle.quality.text(bundle.quality.damaged)}", "answer", "truth")
    return plots.matrix_chart(counts, bundle.contract.class_names, axes)


def precision(bundle: Bundle, objects: Sequence[int], by_level: dict[str, list[float | None]]) -> Any:
    """Bars of average precision by class, a colour a level; of many classes those with most objects.

    Args:
        bundle: For its name and classes.
        objects: How many of each class there are.
        by_level: Level in words -> average precision of each class, 0..1; None: a class without an object.
    """
    classes = np.sort(np.argsort(-np.array(objects), kind="stable")[:SHOWN_CLASSES])
    groups = []
    for level, values in by_level.items():
        shares = [values[index] for index in classes]
        groups.append((level, [float("nan") if value is None else 100 * value for value in shares]))
    axes = Axes(bundle.name, "class", "average precision, %")
    return plots.grouped_bar_chart(groups, [bundle.contract.class_names[index] for index in classes], axes)


def scenes(scenes: Sequence[scene_grid.Scene], columns: Sequence[str], bundle: Bundle) -> Any:
    """Grid: true boxes, found ones over both channels."""
    return scene_grid.draw(scenes, columns, bundle.contract.class_names)


def samples(
    pictures: Sequence[Sequence[NDArray[np.uint8]]], rows: Sequence[str], columns: Sequence[str]
) -> Any:
    """Grid of pictures: as sent, then as received at each level."""
    return plots.picture_grid(pictures, rows, columns, images=len(columns))


def ram(cost: dict[str, Any]) -> int:
    """State and deepest stack of the encoder, bytes."""
    return int(cost["memory"]["encoder_ram"] + (cost.get("encoder_stack_bytes") or 0))


def price(view: BundleView) -> float:
    """What an image costs: MACs, which every bundle states."""
    return float(view.bundle.record.macs)


def front(views: Sequence[BundleView]) -> set[str]:
    """Bundles that no other one of their data set beats in both cost and figure of merit (Pareto).

    The figure is that at the level of quality at which costs are compared; bundles that were not measured
    there take no part.
    """

    def beats(one: BundleView, other: BundleView) -> bool:
        measured, (value, over) = one.evaluation.measurement, (merit(one), merit(other))
        if value is None or over is None or measured.dataset != other.evaluation.measurement.dataset:
            return False
        dearer, worse = price(one) > price(other), measured.metric.is_better(over, value)
        return not dearer and not worse and (price(one), value) != (price(other), over)

    return {
        view.bundle.name
        for view in views
        if merit(view) is not None and not any(beats(one, view) for one in views)
    }


def merit(view: BundleView) -> float | None:
    """The figure of merit at the level at which costs are compared; None: it was not measured there."""
    return view.value(view.quality.compared)


def cost(views: Sequence[BundleView], words: Words) -> Any:
    """The figure of merit against MACs."""
    points = [
        Line(view.bundle.name, [price(view) / 1e6], [words.shown(value)])
        for view in views
        if (value := merit(view)) is not None
    ]
    quality, sign = views[0].quality, words.metric.sign
    y = f"{words.name} at {quality.text(quality.compared)}" + (f",{sign}" if sign else "")
    axes = Axes("Device cost", "million multiply-accumulates per image", y)
    return plots.scatter_chart(points, axes)


def training(view: BundleView) -> Any:
    """The figure of merit on the validation split after each epoch, stages in a row."""
    keys = list(dict.fromkeys(key for r in view.history for key in r if key.startswith("val_")))
    lines = []
    for key in keys:
        pairs = [(index + 1, view.words.shown(r[key])) for index, r in enumerate(view.history) if key in r]
        text = key.removeprefix("val_")
        label = view.quality.text(float(text)) if _is_number(text) else text
        lines.append(Line(label, [p[0] for p in pairs], [p[1] for p in pairs]))
    axes = Axes(view.bundle.name, "epoch, all stages", f"validation {view.words.axis}")
    return plots.line_chart(lines, axes, legend_below=True)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
