"""Write the measured parts of README.md, docs/first-board.md and docs/results.md; nothing in them is typed.

Accuracy comes from the records of the zoo's bundles (`semflash evaluate NAME --record` puts it there), device
cost from `semflash bench NAME --json` and the quick start from its own commands on the emulated board, run by
this script.

    python benchmarks/tables.py            # measure the device cost, write both files
    python benchmarks/tables.py --check    # exit 1 when the accuracy tables are not what the bundles record
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from semflash.bundle.reader import Bundle, read_bundle
from semflash.bundle.schema import Measurement

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "host" / "semflash" / "zoo"
TARGETS = (ROOT / "README.md", ROOT / "docs" / "first-board.md", ROOT / "docs" / "results.md")
COSTS = ROOT / "docs" / "results.json"
#: Of the tables; bundles of other data sets and families, trained otherwise, are in docs/zoo.md.
DATASET, FAMILY = "fashion-mnist", "semanticnn"
QUICK_START = (
    "build fashion-mnist-48",
    "flash fashion-mnist-48",
    "monitor fashion-mnist-48 --ber 0.01 --check-golden",
    "boards --stop",
)


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--board", default="qemu-stm32f405", help="board whose cost is measured")
    check = parser.parse_args()
    zoo = [read_bundle(path) for path in sorted(ZOO.glob("*.semcodec"))]
    named = [bundle for bundle in zoo if bundle.contract.family == FAMILY]
    bundles = [bundle for bundle in named if _test_measurement(bundle).dataset == DATASET]
    if not bundles:
        raise SystemExit(f"no bundle in {ZOO}: make zoo")
    if not check.check:
        costs = {bundle.name: measure(bundle, check.board) for bundle in bundles}
        COSTS.write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")
    costs = json.loads(COSTS.read_text())
    blocks = {"accuracy": accuracy_table(bundles), "cost": cost_table(bundles, costs)}
    if not check.check:
        blocks["quick start"] = quick_start()
    stale = [path.name for path in TARGETS if not replace_blocks(path, blocks, write=not check.check)]
    if check.check and stale:
        print(f"stale tables in {', '.join(stale)}: run make tables", file=sys.stderr)
        return 1
    return 0


def measure(bundle: Bundle, board: str) -> dict[str, Any]:
    """What `semflash bench --json` says, less what differs between two runs of the same code."""
    command = [
        sys.executable,
        "-m",
        "semflash.cli",
        "bench",
        str(bundle.path),
        "--board",
        board,
        "--no-layers",
        "--json",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    for name in ("host_seconds_per_image", "build_id"):
        result.pop(name, None)
    return result


def quick_start() -> str:
    """The commands of QUICK_START with what they print, in an empty folder and with no board running."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"SEMFLASH_STATE_DIR": str(Path(folder) / "state"), "COLUMNS": "100"}
        try:
            for command in QUICK_START:
                lines.append(f"    $ semflash {command}")
                printed = _semflash(command, Path(folder), environment)
                lines += [f"    {line.rstrip()}" for line in printed.splitlines() if _worth_showing(line)]
        finally:
            _semflash("boards --stop", Path(folder), environment)
    return "\n".join(lines)


def _semflash(command: str, folder: Path, environment: dict[str, str]) -> str:
    program = [sys.executable, "-m", "semflash.cli", *command.split()]
    done = subprocess.run(program, check=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    return done.stdout


def _worth_showing(line: str) -> bool:
    """Not empty lines, progress, and the image's path, which is of this machine."""
    return bool(line.strip()) and " images, accuracy " not in line and not line.startswith("image  ")


def accuracy_table(bundles: list[Bundle]) -> str:
    """One row a bundle, one column a level of channel quality; bundles of one metric and one kind of it."""
    measured = {bundle.name: _test_measurement(bundle) for bundle in bundles}
    levels = sorted({point.level for measurement in measured.values() for point in measurement.points})
    quality = bundles[0].quality
    lines = [
        f"| bundle | bytes per image | task network | {' | '.join(map(quality.text, levels))} |",
        "| --- | --- | --- |" + " --- |" * len(levels),
    ]
    for bundle in sorted(bundles, key=lambda one: -one.payload_bytes):
        metric, task = measured[bundle.name].metric, bundle.record.task_value
        points = [measured[bundle.name].at(level) for level in levels]
        cells = ["" if point is None else metric.number(point.score.value) for point in points]
        lines.append(
            f"| `{bundle.name}` | {bundle.payload_bytes} | {'' if task is None else metric.number(task)} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def _test_measurement(bundle: Bundle) -> Measurement:
    for measurement in bundle.record.measurements:
        if measurement.split == "test":
            return measurement
    raise SystemExit(f"{bundle.name}: no test measurement; run semflash evaluate {bundle.name} --record")


def cost_table(bundles: list[Bundle], costs: dict[str, Any]) -> str:
    """One row a bundle: MACs, instructions, RAM, flash."""
    lines = [
        "| bundle | engine | MACs | instructions per image | per MAC "
        "| encoder state + deepest stack of the firmware, B "
        "| flash whole firmware, B |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for bundle in sorted(bundles, key=lambda one: -one.payload_bytes):
        cost = costs[bundle.name]
        if cost["bundle_hash"] != bundle.hash_hex:
            raise SystemExit(f"{bundle.name}: measured another version of this bundle; run make tables")
        lines.append(
            f"| `{bundle.name}` | {cost['engine']} | {cost['macs']:,} | {cost['counts_median']:,} | "
            f"{cost['counts_per_mac']:.2f} | {cost['state_bytes']:,} + {cost['stack_bytes']:,} | "
            f"{cost['sizes']['flash']:,} |"
        )
    return "\n".join(lines)


def replace_blocks(path: Path, blocks: dict[str, str], *, write: bool) -> bool:
    """Put each block between its markers. Returns whether the file already said so.

    Raises:
        SystemExit: a file with an opening marker and no closing one.
    """
    text = new = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        start, end = f"<!-- {name}: written by benchmarks/tables.py -->\n", f"<!-- end {name} -->"
        if start not in new:
            continue
        before, rest = new.split(start, 1)
        if end not in rest:
            raise SystemExit(f"{path.name}: no closing marker for {name}")
        new = before + start + block + "\n" + end + rest.split(end, 1)[1]
    if write and new != text:
        temporary = path.with_suffix(".new")
        temporary.write_text(new, encoding="utf-8")
        temporary.replace(path)
    return new == text


if __name__ == "__main__":
    sys.exit(main())
