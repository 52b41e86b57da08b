"""Scenes with true and found boxes, told apart by the name of their class and its colour and dash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.boxes import BOTTOM, CLASS, IGNORED, LEFT, RIGHT, TOP
from semflash.report import plots

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
    """A figure: a row per scene, first the truth, then every answer; each box has its class beside it."""
    size = (_SIDE * len(columns) + 0.4, _SIDE * len(scenes) + 0.3)
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
                _boxes(plot, scene.boxes, [_truth(row, names) for row in scene.boxes])
            else:
                found = scene.found[x - 1]
                _boxes(plot, scene.boxes)
                _boxes(plot, found, [f"{names[int(row[CLASS])]} {row[_SCORE]:.2f}" for row in found])
    return figure


def _truth(row: NDArray[np.float32], names: Sequence[str]) -> str:
    name = names[int(row[CLASS])]
    return f"{name}, ignored" if row[IGNORED] == 1 else name


def _colour(label: int) -> str:
    return plots.COLOURS[label % len(plots.COLOURS)]


def _dash(label: int) -> str:
    return plots.DASHES[label // len(plots.COLOURS) % len(plots.DASHES)]


def _boxes(plot: Any, rows: NDArray[np.float32], texts: Sequence[str] | None = None) -> None:
    """Rectangles of boxes in pixels, named by texts; without: dotted ones. Pixel 0 has its middle at 0."""
    from matplotlib import patheffects
    from matplotlib.patches import Rectangle

    for index, row in enumerate(rows):
        left, top, right, bottom = (float(row[side]) for side in (LEFT, TOP, RIGHT, BOTTOM))
        label = int(row[CLASS])
        look: dict[str, Any] = {"edgecolor": _colour(label), "linestyle": _dash(label), "linewidth": 1.8}
        if texts is None:
            look = {"edgecolor": "#222222", "linestyle": ":", "linewidth": 1.0}
        halo = patheffects.withStroke(linewidth=look["linewidth"] + 1.0, foreground="#ffffff")
        place = (left - 0.5, top - 0.5)
        plot.add_patch(Rectangle(place, right - left, bottom - top, fill=False, path_effects=[halo], **look))
        if texts is not None:
            plot.text(
                left + 0.6,
                top + 0.6,
                texts[index],
                fontsize=6.5,
                color="#111111",
                va="top",
                clip_on=True,
                bbox={"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.8},
            )
