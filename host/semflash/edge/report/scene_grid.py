"""Scenes with true and found boxes, told apart by colour, dash and name of their class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semflash.edge.report import plots
from semflash.training.boxes import BOTTOM, CLASS, LEFT, RIGHT, TOP

_SCORE = 5
_SIDE = 2.1  # inches of a picture


class Scene(NamedTuple):
    """An image with its boxes.

    Attributes:
        name: of the row. image: uint8 (H, W, C).
        boxes: the truth, float32 (m, 6). found: answers, float32 (n, 6) each: ..., class, score.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    found: Sequence[NDArray[np.float32]]


def draw(scenes: Sequence[Scene], columns: Sequence[str], names: Sequence[str]) -> Any:
    """A figure: a row per scene, first the truth, then every answer; the classes that occur in a legend."""
    from matplotlib.lines import Line2D

    size = (_SIDE * len(columns) + 0.4, _SIDE * len(scenes) + 0.6)
    figure, grid = plots.new_figure(size, (len(scenes), len(columns)))
    for y, scene in enumerate(scenes):
        for x, title in enumerate(columns):
            plot = grid[y, x]
            grey = scene.image.shape[-1] == 1
            image = scene.image[..., 0] if grey else scene.image
            plot.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            plot.set(xticks=[], yticks=[])
            if y == 0:
                plot.set_title(title, fontsize=9)
            if x == 0:
                plot.set_ylabel(scene.name, fontsize=9)
                _boxes(plot, scene.boxes)
            else:
                _boxes(plot, scene.boxes, dotted=True)
                _boxes(plot, scene.found[x - 1], scored=True)
    there = sorted({int(row[CLASS]) for one in scenes for rows in (one.boxes, *one.found) for row in rows})
    handles = [Line2D([], [], color=_colour(k), linestyle=_dash(k), linewidth=2) for k in there]
    if handles:
        labels = [names[k] for k in there]
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(there), 5), **plots.LEGEND)
    return figure


def _colour(label: int) -> str:
    return plots.COLOURS[label % len(plots.COLOURS)]


def _dash(label: int) -> str:
    return plots.DASHES[label // len(plots.COLOURS) % len(plots.DASHES)]


def _boxes(
    plot: Any, rows: NDArray[np.float32], *, dotted: bool = False, scored: bool = False
) -> None:  # fmt: skip
    """Rectangles in pixels; the image's pixel 0 has its middle at 0, a box counts from its edge."""
    from matplotlib import patheffects
    from matplotlib.patches import Rectangle

    for row in rows:
        left, top, right, bottom = (float(row[side]) for side in (LEFT, TOP, RIGHT, BOTTOM))
        label = int(row[CLASS])
        look: dict[str, Any] = {"edgecolor": _colour(label), "linestyle": _dash(label), "linewidth": 1.8}
        if dotted:
            look = {"edgecolor": "#222222", "linestyle": ":", "linewidth": 1.0}
        halo = patheffects.withStroke(linewidth=look["linewidth"] + 1.0, foreground="#ffffff")
        place = (left - 0.5, top - 0.5)
        plot.add_patch(
            Rectangle(place, right - left, bottom - top, fill=False, path_effects=[halo], **look)
        )  # fmt: skip
        if scored:
            plot.text(
                left + 0.6, top + 0.6, f"{row[_SCORE]:.2f}", fontsize=6.5, color="#111111", va="top",
                bbox={"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.8}, clip_on=True,
            )  # fmt: skip
