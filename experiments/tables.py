"""Write docs/experiments.md and its plots from experiments/results alone; the text around the tables stays.

python experiments/tables.py            # write
python experiments/tables.py --check    # exit 1 when the tables are not what the results say
"""
# ruff: noqa: E402  (the import path is set first)

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments import blocks, compared
from experiments.markdown import with_blocks, write
from experiments.material import Material, read_rates
from semflash.report.plots import Axes, Line, line_chart, svg
from semflash.report.results import ResultStore
from semflash.report.statistics import ordered, series

RESULTS = ROOT / "experiments" / "results"
DOCUMENT = ROOT / "docs" / "experiments.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare the tables")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--document", type=Path, default=DOCUMENT, metavar="FILE")
    args = parser.parse_args(arguments)
    material = Material(ResultStore(args.results).all(), read_rates(args.results / "rate"))
    old = args.document.read_text(encoding="utf-8")
    new = with_blocks(old, all_blocks(material))
    if args.check:
        if new != old:
            print(f"{args.document.name} is not what the results say: run it again", file=sys.stderr)
        return int(new != old)
    write(args.document, new)
    folder = args.document.parent / args.document.stem
    for name, text in all_plots(material).items():
        write(folder / f"{name}.svg", text)
    return 0


def all_blocks(material: Material) -> dict[str, str]:
    """Every generated part by name."""
    made: dict[str, Callable[[], str]] = {
        "budgets": lambda: blocks.budgets(material),
        "search": lambda: blocks.search(material),
        "ber 48": lambda: _with_plot(blocks.ber(material, 48), "ber-48", material),
        "ber 24": lambda: _with_plot(blocks.ber(material, 24), "ber-24", material),
        "goals": lambda: compared.goals(material),
        "claims": lambda: compared.claims(material),
        "ablations": lambda: compared.ablations(material),
        "centres": lambda: blocks.variants(material, "centres"),
        "estimates": lambda: blocks.conditions(material, "estimates", "bsc", "estimate"),
        "transfer": lambda: blocks.transfer(material),
        "bursts": lambda: blocks.conditions(material, "bursts", "gilbert-elliott", "burst_bits"),
        "frames": lambda: blocks.conditions(material, "bursts", "frame-loss", "frame_bytes"),
        "deadline": lambda: blocks.conditions(material, "bursts", "deadline", "frame_bytes"),
        "int8": lambda: blocks.int8(material),
        "rate": lambda: blocks.rate(material),
    }
    return {name: make() for name, make in made.items()}


def _with_plot(text: str, name: str, material: Material) -> str:
    if name not in all_plot_names(material):
        return text
    size = name.rsplit("-", 1)[1]
    alt = (
        f"Accuracy against bit error rate at {size} bytes, budget comparison, one line a method; the tables "
        "above have its numbers"
    )
    return f"{text}\n\n![{alt}](experiments/{name}.svg)"


def all_plot_names(material: Material) -> list[str]:
    """Plots there is something to draw for."""
    sizes = {result.payload_bytes for result in material.of("ber")}
    return [f"ber-{size}" for size in sorted(sizes)]


def all_plots(material: Material) -> dict[str, str]:
    """Plot's name -> SVG."""
    return {name: ber_plot(material, int(name.rsplit("-", 1)[1])) for name in all_plot_names(material)}


def ber_plot(material: Material, size: int) -> str:
    """Accuracy against BER of the comparison budget, every method and framing."""
    found = series(material.of("ber", payload_bytes=size), where=lambda r: r.budget.name == "comparison")
    lines = []
    for one in ordered(found):
        for framing in one.framings():
            pairs = one.line(framing)
            rates, shares = [100 * rate for rate, _ in pairs], [100 * mean.mean for _, mean in pairs]
            spread = [100 * (mean.spread or 0.0) for _, mean in pairs]
            lines.append(Line(one.name(framing), rates, shares, spread))
    task = material.task("comparison")
    level = None if task is None else ("task network, uncompressed", 100 * task.mean)
    axes = Axes(f"{size} bytes per image, budget comparison", "bit error rate, %", "accuracy, %", "ber")
    return svg(line_chart(lines, axes, level), in_page=False)


if __name__ == "__main__":
    sys.exit(main())
