"""Estimate the cycles of whole networks with three imagined flash memories, for docs/benchmarks.md.

    python benchmarks/cycle_estimates.py [MODEL.tflite ...]   # enc96, a bundle of the zoo, the files named
    python benchmarks/cycle_estimates.py --tables             # the table alone, from its JSON

The networks run as in whole_networks.py, under the plugin of `semflash bench` (docs/cycles.md): estimates, no
board has measured them. Rows of other models stay. Networks whose outputs differ from tflite-micro's are not
written.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import whole_networks
from device_cost import with_blocks

from semflash.bench.cycles.estimate import CycleEstimate, read_estimate
from semflash.bench.cycles.flash import FlashModel
from semflash.bench.cycles.plan import plan_text
from semflash.bench.cycles.plugin import argument, plugin
from semflash.firmware.boards.descriptions import load_board

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "cycle_estimates.json"
#: Caches as ST's manuals tell; L4 is the kind reading, L4-64 the harsh one (docs/cycles.md).
MODELS = (
    FlashModel("F4", 64, 16, 8, 16, 5, True),
    FlashModel("L4", 32, 32, 8, 32, 4, True),
    FlashModel("L4-64", 128, 8, 32, 8, 4, True),
)


@dataclass(frozen=True)
class Published:
    """What a network is held against, cycles per MAC.

    Attributes:
        before: L4 and L4-64 of the kernels until version 0.1, by the same estimate.
        goal: L4 and L4-64.
        board: X-CUBE-AI 10.2 on an STM32L4R5ZI (MLPerf Tiny v1.3, closed division); None: not published.
    """

    before: tuple[float, float]
    goal: tuple[float, float]
    board: float | None


AGAINST = {
    "resnet8": Published((1.65, 2.44), (1.05, 1.20), 1.59),
    "dscnn": Published((2.34, 3.30), (1.45, 1.60), 1.96),
    "vww": Published((2.42, 3.40), (1.45, 1.60), 1.43),
    "autoencoder": Published((3.12, 3.50), (1.60, 2.05), 2.18),
    "enc96": Published((1.47, 2.58), (1.33, 1.42), None),
    "fashion-mnist-48": Published((1.65, 2.40), (1.20, 1.35), None),
}


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.tflite", help="further models")
    parser.add_argument("--tables", action="store_true", help="estimate nothing")
    chosen = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not chosen.tables:
        with tempfile.TemporaryDirectory() as name:
            archive = whole_networks.compile_kernels(Path(name))
            for label, path in subjects(chosen.models):
                results[label] = estimate(path, Path(name), archive)
                print(label, results[label], flush=True)
                RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    text = with_blocks(DOCUMENT.read_text(encoding="utf-8"), {"cycles": table(results)}, __file__)
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


def subjects(further: list[Path]) -> list[tuple[str, Path]]:
    """(label, file) of what is estimated."""
    zoo = ROOT / "host" / "semflash" / "zoo" / "fashion-mnist-48.semcodec" / "encoder.tflite"
    own = [("enc96", ROOT / "benchmarks" / "models" / "enc96.tflite"), ("fashion-mnist-48", zoo)]
    return own + [(path.stem.removeprefix("mlperf-tiny-"), path) for path in further]


def estimate(path: Path, folder: Path, archive: Path) -> dict[str, Any]:
    """Cycles per MAC of the second image."""
    emulated = Emulated()
    measured = whole_networks.measure(path, "auto", "fast", folder, archive, emulated)
    if not measured.equal_to_tflite_micro or emulated.cycles is None:
        raise SystemExit(f"{path.stem}: outputs differ from tflite-micro's")
    cycles, macs = emulated.cycles, measured.macs
    per_mac = {name: round(value / macs, 3) for name, value in _columns(cycles).items()}
    ram = measured.state_bytes + measured.stack_bytes
    flash = measured.code_bytes + measured.table_bytes
    return {"macs": macs, "ram_bytes": ram, "flash_bytes": flash, "file_bytes": path.stat().st_size} | per_mac


def _columns(cycles: CycleEstimate) -> dict[str, int]:
    named = {"instructions": cycles.instructions, "core_min": cycles.core_min, "core": cycles.core}
    return named | {"core_max": cycles.core_max} | {m.name: cycles.with_flash(m.name) for m in MODELS}


class Emulated:
    """whole_networks.emulate with the plugin; keeps what it counted."""

    def __init__(self) -> None:
        self.cycles: CycleEstimate | None = None

    def __call__(self, image: Path) -> tuple[whole_networks.Int8, int, int]:
        """Outputs, instructions, stack, as whole_networks.emulate."""
        flash = load_board("qemu-stm32f405").flash
        assert flash is not None
        plan, out = image.with_suffix(".plan"), image.with_suffix(".json")
        text = plan_text(image, flash, MODELS, begins="sf_model_g0_reset", counted=("sf_model_g0_push_row",))
        plan.write_text(text, encoding="utf-8")
        loaded = argument(plugin("qemu-system-arm"), plan, out)
        result = whole_networks.emulate(image, "-plugin", loaded)
        self.cycles, _ = read_estimate(out, MODELS)
        return result


def table(results: dict[str, Any]) -> str:
    """One row a network."""
    heads = ("network", "instructions", "core", "F4", "L4", "L4-64", "L4 / L4-64 before", "goal")
    more = ("X-CUBE-AI 10.2, board", "RAM, B", "flash (file), B")
    lines = [f"| {' | '.join((*heads, *more))} |", f"|{' --- |' * (len(heads) + len(more))}"]
    for name, one in results.items():
        held = AGAINST.get(name)
        before = goal = board = ""
        if held is not None:
            before, goal = (f"{pair[0]:.2f} / {pair[1]:.2f}" for pair in (held.before, held.goal))
            board = "-" if held.board is None else f"{held.board:.2f}"
        limits = (None, None) if held is None else held.goal
        kind, harsh = (_missed(one[m], limit) for m, limit in zip(("L4", "L4-64"), limits, strict=True))
        core = f"{one['core']:.2f} ({one['core_min']:.2f} to {one['core_max']:.2f})"
        per_mac = f"{one['instructions']:.2f} | {core} | {one['F4']:.2f} | {kind} | {harsh}"
        bytes_of = f"{one['ram_bytes']:,} | {one['flash_bytes']:,} ({one['file_bytes']:,})"
        lines.append(f"| {name} | {per_mac} | {before} | {goal} | {board} | {bytes_of} |")
    return "\n".join(lines)


def _missed(value: float, limit: float | None) -> str:
    """A figure; bold where it misses its goal."""
    return f"**{value:.2f}**" if limit is not None and value > limit else f"{value:.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
