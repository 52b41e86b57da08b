"""A report on bundles whose payloads can be cut: what their output is worth by the bytes that it may have."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from semflash.channels.of_quality import channel_for
from semflash.edge.pictured import Measuring
from semflash.edge.route import Route
from semflash.outputs.metrics import Metric, Score
from semflash.program.controls import Control, rate_control
from semflash.report import plots
from semflash.report.answers.material import Material
from semflash.report.page import Chart, Section, Table
from semflash.report.plots import Axes, Line
from semflash.report.view import BundleView, RateCurve, RatePoint

#: Rates of a curve, both ends of the control's range among them.
POINTS = 7
IMAGES = 1_000
#: Drawn over the rate; the others stand in the table.
_DRAWN = ("accuracy", "map50", "psnr", "object_psnr")


def rates_of(control: Control, count: int = POINTS) -> list[int]:
    """Rates over the range of a control, even in powers of two.

    >>> rates_of(Control("bytes", 1, 6, 48, 48, "bytes"), 4)
    [6, 12, 24, 48]
    """
    low, high = max(control.low, 1), max(control.high, 1)
    return sorted({round(low * (high / low) ** place) for place in np.linspace(0, 1, count)})


def measured(material: Material) -> RateCurve | None:
    """The curve over a channel without damage, of the first thousand images; None: there is no rate."""
    bundle, control = material.bundle, rate_control(material.bundle.program.controls)
    if control is None or not material.pictures or control.name in material.evaluation.fixed:
        return None
    level, images = bundle.quality.main[0], material.images[:IMAGES]
    labels = material.labels[:IMAGES]
    cover = None if material.cover is None else material.cover[:IMAGES]
    channel = channel_for(bundle.program, material.evaluation.fading)
    route = Route(bundle, images, channel, material.seed)
    way = Measuring(bundle, images, bundle.output.truth(images, labels), cover, route)
    points = []
    for rate in rates_of(control):
        controls = material.evaluation.settings(bundle, level) | {control.name: rate}
        found = way.measure(level, controls, None, material.seed)
        points.append(RatePoint(rate, *found.size, found.scores))
    return RateCurve(control.name, level, len(images), way.metrics, points)


def section(views: Sequence[BundleView]) -> Section:
    """Curves and tables; empty where no bundle has a rate."""
    there = [view for view in views if view.rates is not None]
    charts = [
        _chart(there, metric)
        for metric in dict.fromkeys(metric for view in there for metric in _metrics(view))
        if metric.name in _DRAWN
    ]
    tables = [_table(view, view.rates) for view in there if view.rates is not None]
    text = [
        "The rate is the most bytes that a device may send for an image, told it before the image; what it "
        "sends is never more. The channel does no damage here."
    ]
    title = "By the rate of the moment"
    return Section("rates", "Rates", title, text=text if there else (), charts=charts, tables=tables)


def as_json(curve: RateCurve) -> dict[str, Any]:
    """Plain values for ``--json``."""
    points = []
    for point in curve.points:
        plain: dict[str, Any] = {"rate": point.rate, "bytes_mean": point.mean, "bytes_most": point.most}
        for metric, score in zip(curve.metrics, point.scores, strict=True):
            plain |= {metric.name: score.value, f"{metric.name}_95": [score.low, score.high]}
        points.append(plain)
    return {"control": curve.control, "images": curve.images, "points": points}


def _metrics(view: BundleView) -> tuple[Metric, ...]:
    return () if view.rates is None else view.rates.metrics


def _chart(views: Sequence[BundleView], metric: Metric) -> Chart:
    names = ", ".join(view.bundle.name for view in views)
    return Chart(
        f"{metric.name}-rate",
        f"{metric.title} by the rate that images are told. Bars: 95 % intervals.",
        f"{metric.title} of {names} against the rate in bytes; the table has the numbers.",
        partial(_drawn, views, metric),
    )


def _drawn(views: Sequence[BundleView], metric: Metric) -> Any:
    lines = []
    for view in views:
        if view.rates is None or metric not in view.rates.metrics:
            continue
        scores = [point.scores[view.rates.metrics.index(metric)] for point in view.rates.points]
        values = [metric.scale * score.value for score in scores]
        bars = _bars(scores, metric.scale)
        lines.append(Line(view.bundle.name, [point.rate for point in view.rates.points], values, bars))
    unit = f",{metric.sign}" if metric.sign else ""
    axes = Axes(metric.title, "rate, bytes per image", f"{metric.title}{unit}", "bytes")
    return plots.line_chart(lines, axes, legend_below=True)


def _bars(scores: Sequence[Score], scale: float) -> tuple[list[float], list[float]]:
    below = [scale * (score.value - score.low) for score in scores]
    return below, [scale * (score.high - score.value) for score in scores]


def _table(view: BundleView, curve: RateCurve) -> Table:
    units = [f"{metric.title},{metric.sign}" if metric.sign else metric.title for metric in curve.metrics]
    rows = []
    for point in curve.points:
        values = (m.number(score.value) for m, score in zip(curve.metrics, point.scores, strict=True))
        rows.append([str(point.rate), f"{point.mean:.1f}", str(point.most), *values])
    caption = f"{view.bundle.name}: by control {curve.control}, {curve.images:,} images"
    return Table(caption, ["rate, bytes", "sent, mean", "sent, most", *units], rows)
