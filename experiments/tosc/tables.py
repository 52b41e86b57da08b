"""Write docs/experiments/tosc.md and its plots from experiments/results/tosc alone; the text around stays.

python experiments/tosc/tables.py            # write
python experiments/tosc/tables.py --check    # exit 1 when the tables are not what the results say
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)

from experiments.markdown import with_blocks, write
from experiments.tosc import blocks, box_blocks, cost_blocks
from experiments.tosc.goals import RIVALS, goals
from experiments.tosc.reading import Curve, Material, mean
from experiments.tosc.results import read_all
from semflash.errors import SemflashError
from semflash.report.plots import Axes, Line, line_chart, svg

RESULTS = ROOT / "experiments" / "results" / "tosc"
DOCUMENT = ROOT / "docs" / "experiments" / "tosc.md"
MARKER = "written by experiments/tosc/tables.py"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare the tables")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--document", type=Path, default=DOCUMENT, metavar="FILE")
    args = parser.parse_args(arguments)
    try:
        material = Material(read_all(args.results))
    except SemflashError as error:
        print(f"tables: {error}", file=sys.stderr)
        return error.exit_code
    old = args.document.read_text(encoding="utf-8")
    new = with_blocks(old, all_blocks(material), MARKER)
    if args.check:
        if new != old:
            print(f"{args.document.name} is not what the results say: run it again", file=sys.stderr)
        return int(new != old)
    write(args.document, new)
    for name, text in all_plots(material).items():
        write(args.document.parent / f"tosc-{name}.svg", text)
    return 0


def all_blocks(material: Material) -> dict[str, str]:
    """Every generated part by name."""
    made: dict[str, Callable[[Material], str]] = {
        "goals": goals,
        "trained": blocks.trained,
        "stamps": blocks.stamps,
        "distillation": blocks.distillation,
        "data": blocks.data,
        "states": blocks.states,
        "kept": blocks.kept,
        "places": blocks.places,
        "fading": blocks.fading,
        "changing": cost_blocks.changing,
        "similarity": cost_blocks.similarity,
        "costs": cost_blocks.costs,
        "board": cost_blocks.board,
        "stored": cost_blocks.stored,
        "symbols": blocks.symbols,
        "bits": blocks.bits,
        "fits": cost_blocks.fits,
        "boxes": box_blocks.boxes,
    }
    return {name: with_plot(make(material), name, material) for name, make in made.items()}


#: Plot -> group, variants, axis of the level and its scale, title.
PLOTS: dict[str, tuple[str, tuple[str, ...], Axes]] = {
    "stamps": (
        "stamps",
        ("distilled", "undistilled", "no adaptation", "no bottleneck", "local"),
        Axes("stamps, 32 values over noise", "SNR, dB", "accuracy, %"),
    ),
    "fading": (
        "fading",
        ("rayleigh", "distilled"),
        Axes("stamps, 32 values over Rayleigh fading", "mean SNR, dB", "accuracy, %"),
    ),
    "symbols": (
        "symbols",
        ("distilled", "undistilled", *RIVALS["symbols"]),
        Axes("stamps, 16 symbols, every method", "SNR, dB", "accuracy, %"),
    ),
    "bits": (
        "bits",
        ("distilled", "undistilled", *RIVALS["bits"]),
        Axes("Fashion-MNIST, 12 bytes, every method", "bit error rate, %", "accuracy, %", "ber"),
    ),
    "boxes": (
        "boxes",
        box_blocks.VARIANTS,
        Axes("stamps-scenes, 128 symbols", "SNR, dB", "mAP at IoU 0.5, %"),
    ),
}


def with_plot(text: str, name: str, material: Material) -> str:
    """A table, and below it its plot where there is something to draw."""
    if name not in PLOTS or not lines_of(material, name):
        return text
    return f"{text}\n\n![{PLOTS[name][2].title}; the table above has its numbers](tosc-{name}.svg)"


def all_plots(material: Material) -> dict[str, str]:
    """Plot's name -> SVG, of those there is something to draw for."""
    made = {name: lines_of(material, name) for name in PLOTS}
    return {
        name: svg(line_chart(lines, PLOTS[name][2]), in_page=False) for name, lines in made.items() if lines
    }


def lines_of(material: Material, name: str) -> list[Line]:
    """The lines of a plot."""
    group, variants, axes = PLOTS[name]
    scale = 1.0 if axes.scale == "linear" else 100.0
    found = []
    for variant in variants:
        curve = material.curve(group, variant)
        if curve:
            found.append(
                line(TITLES.get((group, variant), blocks.TITLES.get(variant, variant)), curve, scale)
            )
    return found


#: Names in plots where the tables have others.
TITLES = {
    ("fading", "rayleigh"): "trained with fading",
    ("fading", "distilled"): "trained with noise alone",
}


def line(title: str, curve: Curve, scale: float) -> Line:
    """A curve with its spread; levels are multiplied by `scale`."""
    means = [(level, found) for level in sorted(curve) if (found := mean(curve[level])) is not None]
    return Line(
        title,
        [scale * level for level, _ in means],
        [100 * found.mean for _, found in means],
        [100 * (found.spread or 0.0) for _, found in means],
    )


if __name__ == "__main__":
    sys.exit(main())
