"""Bar chart of bench results: counts per image, RAM and flash of the encoder, one group an engine."""

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


def draw_chart(results: Sequence[BenchResult], path: Path) -> None:
    """Write the chart; SVG without a date, so that the same figures give the same file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "semflash"
    from matplotlib import pyplot

    names = [result.engine for result in results]
    panels = (
        (f"{results[0].counter} per image", [result.counts_median for result in results]),
        ("RAM of the encoder, B", [result.encoder_ram_bytes for result in results]),
        ("flash of the encoder, B", [result.encoder_flash_bytes for result in results]),
    )
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.2), layout="constrained")
    try:
        for axis, (title, values) in zip(axes, panels, strict=True):
            bars = axis.bar(names, [value or 0 for value in values], color="#4477aa")
            axis.bar_label(bars, ["" if value is None else f"{value:,}" for value in values], fontsize=8)
            axis.set_title(title, fontsize=9)
            axis.tick_params(labelsize=8)
            axis.margins(y=0.15)
        figure.suptitle(f"{results[0].bundle_name} on {results[0].board}", fontsize=10)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        with atomic.replacing(path, durable=False) as file:
            figure.savefig(file, format=path.suffix.lower()[1:], dpi=150, metadata=metadata)
    finally:
        pyplot.close(figure)
