"""Measure what AgileNN and LimitNet cost on a device beside SemanticNN; docs/baselines.md has the table.

    python benchmarks/family_cost.py             # measure on the emulated board, write docs/family_cost.json
    python benchmarks/family_cost.py --tables    # the table alone, from docs/family_cost.json
    python benchmarks/family_cost.py --check     # exit 1 when the page is not what was measured

Where the zoo has a trained bundle of a family it is measured. The cost of the others is that of an untrained
codec with the sizes that the comparison chose at 48 bytes: instructions, RAM and flash depend on shapes and
not on what the weights are, but for the order of LimitNet, which is why a trained one is preferred.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from doc_block import table, write_block

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "baselines.md", ROOT / "docs" / "family_cost.json"
ZOO = ROOT / "host" / "semflash" / "zoo"
SIZE_BYTES, IMAGES, CLASSES = 48, 8, 10
BOARD = "qemu-stm32f405"


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        family: Title of the family.
        bundle: Name in the zoo; None: an untrained codec.
        method: Name in the catalogue of baselines, for the sizes of an untrained codec.
        trial: The trial that the search chose (docs/experiments.md).
    """

    family: str
    bundle: str | None = None
    method: str = ""
    trial: int = 0


SUBJECTS = (
    Subject("SemanticNN", bundle="fashion-mnist-48"),
    Subject("AgileNN-style", method="agilenn", trial=3),
    Subject("LimitNet-style", bundle="fashion-mnist-limitnet"),
)


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--only", action="append", metavar="FAMILY", help="measure this family alone")
    chosen = parser.parse_args()
    measured: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not (chosen.tables or chosen.check):
        for subject in SUBJECTS:
            if chosen.only is None or subject.family in chosen.only:
                measured[subject.family] = measure(subject)
                RESULTS.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    block = cost_table(measured)
    if chosen.check:
        if block not in PAGE.read_text(encoding="utf-8"):
            print(
                "docs/baselines.md is stale: run python benchmarks/family_cost.py --tables", file=sys.stderr
            )
            return 1
        return 0
    write_block(PAGE, "device cost", "family_cost.py", block)
    return 0


def measure(subject: Subject) -> dict[str, Any]:
    """Bench one bundle on the emulated board; every payload must be the golden one."""
    with tempfile.TemporaryDirectory() as scratch:
        path = ZOO / f"{subject.bundle}.semcodec" if subject.bundle else untrained(subject, Path(scratch))
        print(f"== {subject.family} {path.name}", flush=True)
        found = json.loads(semflash("bench", str(path), "--board", BOARD, "--images", str(IMAGES), "--json"))
    if found["codes_wrong"]:
        raise SystemExit(f"{subject.family}: {found['codes_wrong']} images differ from the reference")
    memory = found["memory"]
    return {
        "bundle": subject.bundle,
        "sizes": None if subject.bundle else sizes_of(subject),
        "macs": found["macs"],
        "instructions": found["counts_median"],
        "state_bytes": memory["encoder_ram"],
        "stack_bytes": found["encoder_stack_bytes"] or 0,
        "code_bytes": memory["encoder_code"],
        "table_bytes": memory["encoder_tables"],
        "payload_bytes": found["payload_bytes"],
        "images_checked": found["codes_checked"],
    }


def semflash(*arguments: str) -> str:
    """Run a verb and return what it prints. SystemExit: it failed."""
    command = [sys.executable, "-m", "semflash.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(done.stderr)
    return done.stdout


def sizes_of(subject: Subject) -> dict[str, Any]:
    """The sizes that the comparison chose for a method at 48 bytes."""
    from semflash.baselines.catalogue import method_spec

    return dict(method_spec(subject.method).trial_recipe(SIZE_BYTES, subject.trial).sizes)


def untrained(subject: Subject, folder: Path) -> Path:
    """Export a codec with the weights it begins with, calibrated on blocks of grey."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    from semflash.codecs.registry import create
    from semflash.data.dataset import Dataset, Split
    from semflash.export.export import Target, export_codec

    keras.utils.set_random_seed(0)
    codec = create(subject.method, sizes_of(subject))
    features = keras.Input(codec.sizes.feature_shape, name="features")
    mean = keras.layers.GlobalAveragePooling2D()(features)
    tail = keras.Model(features, keras.layers.Dense(CLASSES)(mean))
    train, val, test = (Split(blocks(n), np.arange(n, dtype=np.int32) % CLASSES) for n in (300, 100, 20))
    data = Dataset("blocks", train, val, test, tuple(f"class {index}" for index in range(CLASSES)))
    path = folder / f"{subject.method}.semcodec"
    export_codec(_Untrained(codec, tail), path, data, Target(subject.method, force=True))
    return path


@dataclass(frozen=True)
class _Untrained:
    """What the export asks for."""

    codec: Any
    tail: Any


def blocks(count: int) -> np.ndarray:
    """Blocks of grey, uint8 (N, 28, 28, 1)."""
    coarse = np.random.default_rng(count).integers(0, 256, (count, 7, 7, 1), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def cost_table(measured: dict[str, Any]) -> str:
    """One row a family."""
    head = [
        "family",
        "measured on",
        "MACs",
        "instructions",
        "RAM, B: state + stack",
        "flash, B: code + tables",
        "payload, B",
    ]
    rows = []
    for subject in SUBJECTS:
        if subject.family not in measured:
            continue
        cost = measured[subject.family]
        state, stack, code, tables = (
            cost[key] for key in ("state_bytes", "stack_bytes", "code_bytes", "table_bytes")
        )
        rows.append(
            [
                subject.family,
                f"`{cost['bundle']}`" if cost["bundle"] else "an untrained codec",
                f"{cost['macs']:,}",
                f"{cost['instructions']:,}",
                f"{state + stack:,}: {state:,} + {stack:,}",
                f"{code + tables:,}: {code:,} + {tables:,}",
                f"{cost['payload_bytes']}",
            ]
        )
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
