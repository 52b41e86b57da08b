"""Line charts, scatter charts and matrices by matplotlib, told apart by colour, marker and dash.

SVG text stays text, and the bytes depend on the data only. For a page the foreground is ``currentColor``, so
that the charts follow a dark scheme; as files they have a white ground.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: After Okabe and Ito (2008), seen by most colour-blind readers; no yellow, which is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6BB1", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
HATCHES = ("", "///", "...")
DASHES = ("-", "--", ":", "-.")
INK = "#010203"  # stands for the foreground until the SVG is written
LEGEND_COLUMN = 34  # characters that fit into half of a chart's width
LEGEND: dict[str, Any] = {"frameon": False, "labelcolor": INK, "fontsize": 9}


@dataclass(frozen=True)
class Line:
    """A line of a chart: x, y and the error bars: half-widths, or those below and those above; None: none.

    marks: a short text for each point; empty: none."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | tuple[Sequence[float], Sequence[float]] | None = None
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Axes:
    """Axis texts. scale: of x, ``linear``, ``ber`` (0, then logarithmic) or ``bytes`` (logarithmic)."""

    title: str
    x: str
    y: str
    scale: str = "linear"


def line_chart(
    lines: Sequence[Line], axes: Axes, level: tuple[str, float] | None = None, *, legend_below: bool = False
) -> Any:
    """A matplotlib figure; level: a horizontal line with its name; more than six lines are named below."""
    figure, plot = new_figure((6.4, 4.2))
    for index, line in enumerate(lines):
        plot.errorbar(
            line.x,
            line.y,
            yerr=line.error,
            label=line.label,
            capsize=2,
            markersize=5,
            linewidth=2.4 if index == 0 else 1.3,
            zorder=3 if index == 0 else 2,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle=DASHES[index // len(COLOURS) % len(DASHES)],
        )
        for x, y, mark in zip(line.x, line.y, line.marks, strict=False):
            place = {"textcoords": "offset points", "xytext": (5, -11)}
            plot.annotate(mark, (x, y), fontsize=8, color=COLOURS[index % len(COLOURS)], **place)
    if level is not None:
        plot.axhline(level[1], color=INK, linestyle=(0, (1, 2)), linewidth=1, label=level[0])
    if axes.scale == "ber":
        plot.set_xscale("symlog", linthresh=0.01)
        ticks = sorted({x for line in lines for x in line.x})
        plot.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        plot.minorticks_off()
        plot.set_xlim(left=-0.001)
    if axes.scale == "bytes":
        _octaves(plot, [x for line in lines for x in line.x])
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    plot.grid(alpha=0.25)
    if len(lines) > 6 or legend_below:
        columns = 2 if all(len(line.label) <= LEGEND_COLUMN for line in lines) else 1
        figure.set_size_inches(6.4, (4.6 if len(lines) > 6 else 4.2) + 0.17 * len(lines))
        figure.legend(loc="outside lower center", ncols=columns, **LEGEND)
    elif lines:
        plot.legend(**LEGEND)
    return figure


def _octaves(plot: Any, values: Sequence[float]) -> None:
    """A logarithmic axis marked at 16, 24, 32, 48 ...; linear where not two of them are in its range."""
    marks = sorted(step << power for power in range(24) for step in (2, 3))
    ticks = [mark for mark in marks if values and min(values) <= mark <= max(values)]
    if len(ticks) > 1:
        ticks = ticks if len(ticks) <= 12 else [tick for tick in ticks if tick % 3]
        plot.set_xscale("log")
        plot.set_xticks(ticks, [f"{tick}" for tick in ticks])
        plot.minorticks_off()


def scatter_chart(points: Sequence[Line], axes: Axes) -> Any:
    """A figure with one named mark per line (its first point)."""
    figure, plot = new_figure((6.4, 3.8))
    for index, point in enumerate(points):
        plot.plot(
            point.x[:1],
            point.y[:1],
            marker=MARKERS[index % len(MARKERS)],
            linestyle="none",
            markersize=8,
            color=COLOURS[index % len(COLOURS)],
            label=point.label,
        )
    plot.margins(0.2)
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    plot.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, **LEGEND)
    return figure


def cloud_chart(clouds: Sequence[Line], axes: Axes) -> Any:
    """A figure with all points of each line as marks, both axes of one scale."""
    figure, plot = new_figure((4.6, 4.6))
    for index, cloud in enumerate(clouds):
        plot.plot(
            cloud.x,
            cloud.y,
            marker=MARKERS[index % len(MARKERS)],
            linestyle="none",
            markersize=3,
            alpha=0.6,
            color=COLOURS[index % len(COLOURS)],
            label=cloud.label,
        )
    plot.set_aspect("equal")
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    plot.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, **LEGEND)
    return figure


def bar_chart(heights: Sequence[float], names: Sequence[str], axes: Axes, level: float) -> Any:
    """A figure with one bar per name, and a dotted level."""
    figure, plot = new_figure((6.4, 2.8))
    plot.bar(range(len(heights)), heights, color=COLOURS[0], width=0.7)
    plot.axhline(level, color=INK, linestyle=(0, (1, 2)), linewidth=1)
    plot.set_xticks(range(len(names)), names)
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    return figure


def grouped_bar_chart(groups: Sequence[tuple[str, Sequence[float]]], names: Sequence[str], axes: Axes) -> Any:
    """A figure with a bar per name and group; groups are told apart by colour and hatching."""
    figure, plot = new_figure((6.4, 3.4))
    width = 0.8 / max(len(groups), 1)
    for index, (label, heights) in enumerate(groups):
        places = np.arange(len(names)) + (index - (len(groups) - 1) / 2) * width
        plot.bar(
            places,
            heights,
            width * 0.92,
            label=label,
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[index % len(HATCHES)],
            edgecolor="#ffffff",
            linewidth=0,
        )
    many = len(names) > 8
    plot.set_xticks(range(len(names)), names, rotation=45 if many else 0, ha="right" if many else "center")
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    figure.legend(loc="outside lower center", ncols=max(len(groups), 1), **LEGEND)
    return figure


def matrix_chart(counts: NDArray[Any], names: Sequence[str], axes: Axes) -> Any:
    """A confusion matrix: rows are the truth; each cell says its number."""
    figure, plot = new_figure((6.4, 5.6))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    plot.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    plot.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=9)
    plot.set_yticks(range(len(names)), names, fontsize=9)
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            colour = "#ffffff" if shares[row, column] > 0.5 else "#222222"
            plot.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    plot.set(title=axes.title, xlabel=axes.x, ylabel=axes.y)
    return figure


def picture_grid(
    pictures: Sequence[Sequence[NDArray[Any]]], rows: Sequence[str], columns: Sequence[str], images: int = 1
) -> Any:
    """Pictures in a grid with named rows and columns: ``images`` columns of images first, then maps.

    A map has a scale for its column.
    """
    figure, plots = new_figure((1.25 * len(columns), 1.3 * len(rows)), (len(rows), len(columns)))
    for y, line in enumerate(pictures):
        for x, picture in enumerate(line):
            plot = plots[y, x]
            grey = picture.ndim == 2 or picture.shape[-1] == 1
            shown = picture.reshape(picture.shape[:2]) if grey else picture
            column = [float(row[x].max()) for row in pictures]
            limits = (0, 255) if x < images else (0.0, max(*column, 1e-9))
            colours = "gray" if x < images else "magma"
            plot.imshow(shown, cmap=colours, interpolation="nearest", vmin=limits[0], vmax=limits[1])
            plot.set_xticks([])
            plot.set_yticks([])
            if y == 0:
                plot.set_title(columns[x], fontsize=9)
            if x == 0:
                plot.set_ylabel(rows[y], fontsize=9)
    return figure


def new_figure(size: tuple[float, float], grid: tuple[int, int] | None = None) -> tuple[Any, Any]:
    """A figure and its plots, which pyplot does not know: one that is dropped is in no later picture."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), INK
    )
    with mpl.rc_context(
        {
            **ink,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11.5,
            "font.size": 10.5,
        }
    ):
        rows, columns = grid or (1, 1)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=grid is None)


def svg(figure: Any, *, in_page: bool, prefix: str = "") -> str:
    """The figure as SVG; in_page: foreground as currentColor, no ground, no prolog.

    Args:
        prefix: put before every id, so that several charts fit into one page.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    _take_literally(figure)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "semflash", "text.parse_math": False}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=in_page,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
    text = text.replace(INK, "currentColor" if in_page else "#222222")
    if in_page:
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'(\sid="|url\(#|href="#)', lambda match: match[1] + prefix, text)
        text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
        text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text


def png(figure: Any) -> bytes:
    """The figure as PNG with a white ground."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    _take_literally(figure)
    with mpl.rc_context({"text.parse_math": False}):
        figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _take_literally(figure: Any) -> None:
    """A dollar in a name is a dollar, no formula, which could be a wrong one."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
