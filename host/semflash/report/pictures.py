"""The charts of the report as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.reader import Bundle
from semflash.bundle.schema import AccuracyPoint
from semflash.edge.judge import SHOWN_SCORE
from semflash.report import plots, scene_grid
from semflash.report.gather import DAMAGED_BER, BundleView, Example, Precision
from semflash.report.plots import Axes, Line
from semflash.report.statistics import Series
from semflash.report.wording import Words, percent

COST_BER = 0.01
#: Classes whose names fit below a chart.
SHOWN_CLASSES = 24
SHOWN_TEXT = f"{SHOWN_SCORE:g}"


def against_ber(
    views: Sequence[BundleView], others: Sequence[Series], size: int, words: Words
) -> Any:  # fmt: skip
    """Accuracy (mAP) against BER: bundles with their intervals, experiments with their spread."""
    lines = []
    for view in views:
        points = sorted(view.evaluation.measurement.points, key=lambda p: p.ber)
        bers, shares = [100 * p.ber for p in points], [100 * p.accuracy for p in points]
        lines.append(Line(f"{view.bundle.name} (int8)", bers, shares, _bars(points)))
    for one in others:
        for framing in one.framings():
            pairs = one.line(framing)
            bers, shares = [100 * rate for rate, _ in pairs], [100 * mean.mean for _, mean in pairs]
            spread = [100 * (mean.spread or 0.0) for _, mean in pairs]
            lines.append(Line(one.name(framing, budget=True), bers, shares, spread))
    tasks = {view.evaluation.task_accuracy for view in views} - {None}
    one_data_set = len({view.evaluation.measurement.dataset for view in views}) == 1
    level = (
        ("task network, uncompressed", 100 * max(t for t in tasks if t)) if tasks and one_data_set else None
    )
    axes = Axes(f"{size} bytes per image", "bit error rate, %", f"{words.name}, %", "ber")
    return plots.line_chart(lines, axes, level, legend_below=True)


def _bars(points: Sequence[AccuracyPoint]) -> tuple[list[float], list[float]]:
    """Below and above each point, in percent."""
    return [100 * (p.accuracy - p.low) for p in points], [100 * (p.high - p.accuracy) for p in points]


def against_bytes(
    views: Sequence[BundleView], others: Sequence[Series], ber: float, words: Words
) -> Any:  # fmt: skip
    """Accuracy (mAP) against bytes sent at one rate: a line for the bundles of a data set and each method."""
    groups: dict[str, list[tuple[float, float, float, float]]] = {}
    for view in views:
        for point in view.evaluation.measurement.points:
            if point.ber == ber:
                name = f"bundles, {view.evaluation.measurement.dataset} (int8)"
                value, low, high = point.accuracy, point.low, point.high
                mark = (float(view.bundle.payload_bytes), value, value - low, high - value)
                groups.setdefault(name, []).append(mark)
    for one in others:
        for framing in one.framings():
            mean, sent = one.bsc(ber, framing), one.bytes_sent(ber, framing)
            if mean is not None and sent is not None:
                spread = mean.spread or 0.0
                mark = (sent, mean.mean, spread, spread)
                groups.setdefault(one.name(framing, budget=True), []).append(mark)
    lines = []
    for name, marks in groups.items():
        x, *rest = zip(*sorted(marks), strict=True)
        y, below, above = ([100 * value for value in column] for column in rest)
        lines.append(Line(name, x, y, (below, above)))
    axes = Axes(f"BER {percent(ber)}", "bytes sent per image", f"{words.name}, %", "bytes")
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
    columns = ["image", "features,\nBER 0", f"features,\nBER {percent(DAMAGED_BER)}", "importance"]
    return plots.picture_grid(pictures, rows, columns)


def story(example: Example) -> str:
    """An example in words."""
    damaged = f"{example.damaged} at BER {percent(DAMAGED_BER)}"
    if example.boxes is None:
        return f"{example.truth}, answered {example.clean} at BER 0 and {damaged}"
    return f"{example.name} with {example.truth}, found {example.clean} at BER 0 and {damaged}"


def confusion(bundle: Bundle, counts: NDArray[np.int64]) -> Any:
    """The confusion matrix."""
    axes = Axes(f"{bundle.name}, BER {percent(DAMAGED_BER)}", "answer", "truth")
    return plots.matrix_chart(counts, bundle.contract.class_names, axes)


def precision(bundle: Bundle, found: Precision) -> Any:
    """Bars of average precision by class, a colour a rate; of many classes those with most objects."""
    classes = np.sort(np.argsort(-np.array(found.objects), kind="stable")[:SHOWN_CLASSES])
    groups = []
    for ber, values in found.by_ber.items():
        shares = [values[index] for index in classes]
        heights = [float("nan") if value is None else 100 * value for value in shares]
        groups.append((f"BER {percent(ber)}", heights))
    axes = Axes(bundle.name, "class", "average precision, %")
    return plots.grouped_bar_chart(groups, [bundle.contract.class_names[index] for index in classes], axes)


def scenes(view: BundleView) -> Any:
    """Grid: true boxes, found ones at both rates."""
    scenes = [
        scene_grid.Scene(one.name, one.image, one.boxes, one.found)
        for one in view.examples
        if one.boxes is not None and one.found is not None
    ]
    columns = ["true", "found, BER 0", f"found, BER {percent(DAMAGED_BER)}"]
    return scene_grid.draw(scenes, columns, view.bundle.contract.class_names)


def ram(cost: dict[str, Any]) -> int:
    """State and deepest stack of the encoder, bytes."""
    return int(cost["memory"]["encoder_ram"] + (cost.get("encoder_stack_bytes") or 0))


def price(view: BundleView) -> float:
    """What an image costs: MACs, which every bundle states."""
    return float(view.bundle.record.macs)


def front(views: Sequence[BundleView]) -> set[str]:
    """Bundles that no other one of their data set beats in both cost and accuracy (mAP) at 1 % (Pareto)."""
    marks = [
        (view.bundle.name, view.evaluation.measurement.dataset, price(view), view.accuracy(COST_BER) or 0.0)
        for view in views
    ]
    return {
        name
        for name, data, macs, right in marks
        if not any(d == data and m <= macs and r >= right and (m, r) != (macs, right) for _, d, m, r in marks)
    }


def cost(views: Sequence[BundleView], words: Words) -> Any:
    """Accuracy (mAP) against MACs."""
    points = [
        Line(view.bundle.name, [price(view) / 1e6], [100 * (view.accuracy(COST_BER) or 0.0)])
        for view in views
    ]
    axes = Axes(
        "Device cost", "million multiply-accumulates per image", f"{words.name} at BER {percent(COST_BER)}, %"
    )
    return plots.scatter_chart(points, axes)


def training(view: BundleView) -> Any:
    """Validation accuracy after each epoch, stages in a row."""
    keys = list(dict.fromkeys(key for r in view.history for key in r if key.startswith("val_")))
    lines = []
    for key in keys:
        pairs = [(index + 1, 100 * r[key]) for index, r in enumerate(view.history) if key in r]
        text = key.removeprefix("val_")
        label = f"BER {100 * float(text):g} %" if _is_number(text) else text
        lines.append(Line(label, [p[0] for p in pairs], [p[1] for p in pairs]))
    axes = Axes(view.bundle.name, "epoch, all stages", f"validation {view.words.name}, %")
    return plots.line_chart(lines, axes, legend_below=True)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
