"""Measure the encoders of docs/benchmarks.md with `semflash bench` and write its tables.

    python benchmarks/device_cost.py [MODEL.tflite ...]   # benchmarks/models, the zoo, and the files named
    python benchmarks/device_cost.py --tables             # the tables alone, from docs/benchmarks.json

Engine tflm is measured where SEMFLASH_TFLM_DIR names a tree (docs/engines.md); without one its earlier
figures stay, as long as the model is the same. Takes some minutes an engine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "benchmarks.json"
ENGINES = ("aot", "small", "cmsis-nn", "tflm")
IMAGES = 4
#: Model, engine, most instructions per MAC, most bytes of RAM and of flash (code and tables).
GOALS = (
    ("enc32", "aot", 0.82, 1638, 16384),
    ("enc96", "aot", 0.82, 2867, 16384),
    ("resnet50_head", "aot", 0.72, 20480, 102400),
    ("resnet50_head", "small", None, None, 65536),
    ("fashion-mnist-48", "aot", 1.0, 3072, 16384),
    ("fashion-mnist-24", "aot", 1.0, 3072, 16384),
    ("mlperf-tiny-resnet8", "aot", 1.2, 40960, 99280 + 24576),
)
#: Models whose goal is what TFLM takes of instructions and RAM.
BELOW_TFLM = ("mlperf-tiny-autoencoder", "mlperf-tiny-dscnn", "mlperf-tiny-vww")
_DROPPED = ("host_seconds_per_image", "build_id", "board", "sizes")

Results = dict[str, dict[str, Any]]


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.tflite", help="further models")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this model alone")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="measure this engine alone")
    parser.add_argument("--board", default="qemu-stm32f405")
    chosen = parser.parse_args()
    if not chosen.tables:
        for subject in subjects(chosen.models):
            if chosen.only is None or subject.stem in chosen.only:
                results = _earlier()
                measure(subject, chosen.engine or ENGINES, chosen.board, results)
                # Read again: another run may have written other models meanwhile.
                merged = _earlier() | {subject.stem: results[subject.stem]}
                _write(RESULTS, json.dumps(merged, indent=1, sort_keys=True) + "\n")
    _write(DOCUMENT, with_blocks(DOCUMENT.read_text(encoding="utf-8"), blocks(_earlier())))
    return 0


def _earlier() -> Results:
    """What has been measured so far."""
    found: Results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    return found


def subjects(further: list[Path]) -> list[Path]:
    """What is measured: the models beside this script, the zoo's bundles, and what the command line names."""
    zoo = ROOT / "host" / "semflash" / "zoo"
    return [
        *sorted((ROOT / "benchmarks" / "models").glob("*.tflite")),
        *sorted(zoo.glob("*.semcodec")),
        *further,
    ]


def measure(subject: Path, engines: list[str] | tuple[str, ...], board: str, results: Results) -> None:
    """Run `semflash bench` on one model, engine by engine; an engine that cannot run it leaves its reason."""
    for engine in engines:
        if engine == "tflm" and not os.environ.get("SEMFLASH_TFLM_DIR"):
            continue
        print(f"== {subject.stem} {engine}", flush=True)
        command = [
            sys.executable,
            "-m",
            "semflash.cli",
            "bench",
            str(subject),
            "--board",
            board,
            "--engine",
            engine,
            "--images",
            str(IMAGES),
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            reason = _reason(done.stderr, done.returncode)
            results.setdefault(subject.stem, {})[engine] = {"refused": reason}
            continue
        found = json.loads(done.stdout)
        if found["codes_wrong"]:
            raise SystemExit(
                f"{subject.stem} {engine}: {found['codes_wrong']} images differ from the reference"
            )
        kept = {key: value for key, value in found.items() if key not in _DROPPED}
        if kept["cmsis_nn"].startswith("of the TFLM tree"):
            kept["cmsis_nn"] = "of the TFLM tree"
        others = results.setdefault(subject.stem, {})
        for stale in [
            name
            for name, one in others.items()
            if one.get("bundle_hash", "") not in ("", kept["bundle_hash"])
        ]:
            del others[stale]
        others[engine] = kept


def _reason(stderr: str, returncode: int) -> str:
    """What the verb said, in one line: its JSON error where it is one."""
    for line in stderr.splitlines():
        if line.startswith("{"):
            return str(json.loads(line)["error"]["what"])
    return next((line for line in stderr.splitlines() if line.strip()), f"exit code {returncode}")


def blocks(results: Results) -> dict[str, str]:
    """The generated parts of the document by name."""
    return {"totals": totals(results), "goals": goals(results), "layers": layers(results)}


def goals(results: Results) -> str:
    """One row a goal: measured beside wanted."""
    lines = [
        "| model | engine | per MAC in layers | per MAC in all | RAM, B | flash, B |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    peers = [(name, results[name]["tflm"]) for name in BELOW_TFLM if "memory" in _cost(results, name, "tflm")]
    below = [(name, "aot", round(tflm["counts_per_mac"], 2), _ram(tflm), None) for name, tflm in peers]
    for model, engine, per_mac, ram, flash in (*GOALS, *below):
        cost = _cost(results, model, engine)
        if "memory" not in cost:
            continue
        inside, total, state = _inside(cost), cost["counts_per_mac"], _ram(cost)
        tables = cost["memory"]["encoder_code"] + cost["memory"]["encoder_tables"]
        pairs = (
            (f"{inside:.3f}", inside, per_mac),
            (f"{total:.3f}", total, per_mac),
            (f"{state:,}", state, ram),
            (f"{tables:,}", tables, flash),
        )
        cells = [_against(text, value, limit) for text, value, limit in pairs]
        lines.append(f"| {model} | {engine} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cost(results: Results, model: str, engine: str) -> dict[str, Any]:
    """What was measured; empty where nothing was."""
    cost: dict[str, Any] = results.get(model, {}).get(engine, {})
    return cost


def _inside(cost: dict[str, Any]) -> float:
    """Instructions per MAC that the layers take."""
    return float(sum(layer["counts"] for layer in cost["layers"]) / cost["macs"])


def _ram(cost: dict[str, Any]) -> int:
    """State and stack of the encoder, bytes."""
    return int(cost["memory"]["encoder_ram"] + (cost["encoder_stack_bytes"] or 0))


def _against(text: str, value: float, limit: float | None) -> str:
    """A figure beside its limit; bold where it is missed."""
    if limit is None:
        return text
    shown = f"{limit:,}"
    return f"{text} of {shown}" if value <= limit else f"**{text}** of {shown}"


def totals(results: Results) -> str:
    """One row a model and engine."""
    lines = [
        "| model | engine | MACs | instructions | per MAC (in layers) | RAM, B: state + stack "
        "| flash, B: code + tables (+ model) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model, engines in sorted(results.items()):
        for engine in sorted(engines, key=ENGINES.index):
            cost = engines[engine]
            if "refused" in cost:
                lines.append(f"| {model} | {engine} | | {cost['refused']} | | | |")
                continue
            memory = cost["memory"]
            flash = memory["encoder_code"] + memory["encoder_tables"]
            parts = f"{memory['encoder_code']:,} + {memory['encoder_tables']:,}"
            if memory["model_file"]:
                parts += f" + {memory['model_file']:,}"
            lines.append(
                f"| {model} | {engine} ({cost['engine']}) | {cost['macs']:,} | {cost['counts_median']:,} | "
                f"{cost['counts_per_mac']:.2f} ({_inside(cost):.2f}) | {_ram(cost):,}: "
                f"{memory['encoder_ram']:,} + {cost['encoder_stack_bytes'] or 0:,} | "
                f"{flash + memory['model_file']:,}: {parts} |"
            )
    return "\n".join(lines)


def layers(results: Results) -> str:
    """One row a layer of the engine that is taken by default."""
    lines = ["| model | layers that run joined | kernel | instructions | MACs | per MAC |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for model, engines in sorted(results.items()):
        cost = engines.get("aot", {})
        for layer in cost.get("layers", ()):
            per_mac = "" if layer["counts_per_mac"] is None else f"{layer['counts_per_mac']:.2f}"
            lines.append(
                f"| {model} | {' + '.join(layer['operators'])} | {layer['kernel']} | {layer['counts']:,} | "
                f"{layer['macs']:,} | {per_mac} |"
            )
        if cost.get("layers"):
            rest = cost["counts_median"] - sum(layer["counts"] for layer in cost["layers"])
            lines.append(f"| {model} | rows in, tail, packing | | {rest:,} | | |")
    return "\n".join(lines)


def with_blocks(text: str, parts: dict[str, str], script: str = __file__) -> str:
    """`text` with every block between its markers, which name the script that writes it.

    Raises:
        SystemExit: a marker is missing.
    """
    for name, block in parts.items():
        start = f"<!-- {name}: written by benchmarks/{Path(script).name} -->\n"
        end = f"<!-- end {name} -->"
        if start not in text or end not in text:
            raise SystemExit(f"{DOCUMENT.name}: no markers for {name}")
        before, rest = text.split(start, 1)
        text = before + start + block + "\n" + end + rest.split(end, 1)[1]
    return text


def _write(path: Path, text: str) -> None:
    """Through a temporary file."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
