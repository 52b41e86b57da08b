"""Bar chart of bench results: counts per image, RAM and flash of the encoder, one bar an engine."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from semflash import atomic
from semflash.bench.bench import BenchResult
from semflash.errors import ToolMissingError, UsageError

FORMATS = (".png", ".svg")


def check_chart(path: Path) -> None:
    """Whether a chart can be drawn to `path`; asked before anything is measured.

    Raises:
        UsageError: Neither PNG nor SVG, or no such folder.
        ToolMissingError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError("a chart is a PNG or an SVG file", value=path, remedy="name it NAME.png or NAME.svg")
    if not path.parent.is_dir():
        raise UsageError("the chart's folder does not exist", value=path.parent, remedy="make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolMissingError(
            "matplotlib draws the chart and is not installed", remedy="pip install 'semflash[plot]'"
        )


def panels(results: Sequence[BenchResult]) -> list[tuple[str, list[float]]]:
    """Title and one value an engine of each panel; what was measured for some engines only is left out.

    RAM is that of the encoder with its stack, or without where the stack was not measured (--no-layers,
    board native), and the title says which.
    """
    candidates: list[tuple[str, list[float | int | None]]] = [
        (f"{results[0].counter} per image", [result.counts_median for result in results]),
        ("RAM of the encoder and its stack, B", [result.encoder_ram_bytes for result in results]),
        ("flash of the encoder, B", [result.encoder_flash_bytes for result in results]),
    ]
    if None in candidates[0][1]:
        seconds = [result.host_seconds_per_image for result in results]
        candidates[0] = ("ms per image on this computer", [round(1e3 * one, 2) for one in seconds])
    if None in candidates[1][1]:
        states = [r.state_bytes if r.memory is None else r.memory.encoder_ram for r in results]
        candidates[1] = ("RAM of the encoder without its stack, B", list(states))
    return [
        (title, [value for value in values if value is not None])
        for title, values in candidates
        if None not in values
    ]


def draw_chart(results: Sequence[BenchResult], path: Path) -> None:
    """Write the chart; SVG without a date, so that the same figures give the same file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "semflash"
    from matplotlib import pyplot

    names = [result.engine for result in results]
    shown = panels(results)
    size = (3.6 * len(shown), 3.2)
    figure, axes = pyplot.subplots(1, len(shown), figsize=size, layout="constrained", squeeze=False)
    try:
        for axis, (title, values) in zip(axes[0], shown, strict=True):
            bars = axis.bar(names, values, color="#4477aa")
            axis.bar_label(bars, [f"{value:,}" for value in values], fontsize=8)
            axis.set_title(title, fontsize=9)
            axis.tick_params(labelsize=8)
            axis.margins(y=0.15)
        figure.suptitle(f"{results[0].bundle_name} on {results[0].board}", fontsize=10)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        with atomic.replacing(path, durable=False) as file:
            figure.savefig(file, format=path.suffix.lower()[1:], dpi=150, metadata=metadata)
    finally:
        pyplot.close(figure)
