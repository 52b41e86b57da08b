"""Measure teachers and their stores; docs/teachers.md has the table.

    python benchmarks/teachers.py STORE DATASET    # measure one, then write the table
    python benchmarks/teachers.py                  # the table alone, from docs/teachers.json
    python benchmarks/teachers.py --check          # exit 1 when the page is not what was measured

Times are of one thread of processor time, so that other work on the machine matters little: of an answer of
the live teacher, of which the start of its process is taken off by measuring twice, and of reading an answer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from doc_block import table, write_block

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "teachers.md", ROOT / "docs" / "teachers.json"
#: Answers that are asked live: the difference of both counts.
FEW, MANY = 64, 576
READS = 200_000


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("store", nargs="?", type=Path)
    parser.add_argument("dataset", nargs="?")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    chosen = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if chosen.store is not None:
        measured = measure(chosen.store, chosen.dataset)
        results[f"{measured['data']} {measured['name']}"] = measured
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if chosen.check:
        if rows(results) not in PAGE.read_text(encoding="utf-8"):
            print("docs/teachers.md is stale: run python benchmarks/teachers.py", file=sys.stderr)
            return 1
        return 0
    write_block(PAGE, "teachers", "teachers.py", rows(results))
    return 0


def measure(folder: Path, name: str) -> dict[str, Any]:
    """What a store and its teacher are, take and give."""
    from semflash.data.registry import load_dataset
    from semflash.teachers.store import TeacherStore

    data = load_dataset(name)
    store = TeacherStore.open(folder, data)
    record = store.record()
    kept = ("name", "val_accuracy", "test_accuracy", "weights_bytes", "store_bytes", "views")
    image_bytes = math.prod(data.image_shape)
    rng = np.random.default_rng(0)
    indices, views = rng.integers(0, len(data.train), READS), rng.integers(0, store.views, READS)
    began = time.process_time()
    for start in range(0, READS, 64):
        store.logits(indices[start : start + 64], views[start : start + 64])
    read_us = 1e6 * (time.process_time() - began) / READS
    return {key: record[key] for key in kept} | {
        "data": name,
        "images": len(data.train),
        "store_share": record["store_bytes"] / (image_bytes * len(data.train) * store.views),
        "read_us": read_us,
        "live_ms": _live_ms(store, data, indices, views),
    }


def _live_ms(store: Any, data: Any, indices: np.ndarray, views: np.ndarray) -> float:
    """Processor time of a live answer, milliseconds, its process included."""
    from semflash.training.teaching.live import live_teacher

    taken = []
    for count in (FEW, MANY):
        began = sum(os.times()[:4])
        with live_teacher(store, data) as live:
            for start in range(0, count, 64):
                live.logits(indices[start : start + 64], views[start : start + 64])
        taken.append(sum(os.times()[:4]) - began)
    return 1e3 * (taken[1] - taken[0]) / (MANY - FEW)


def rows(results: dict[str, Any]) -> str:
    """The table."""
    head = [
        "data set",
        "teacher",
        "right: validation, test",
        "weights",
        "views",
        "store",
        "of the data x views",
    ]
    head += ["live answer", "stored answer"]
    lines = [
        [
            f"`{one['data']}`, {one['images']:,} images",
            f"`{one['name']}`",
            f"{one['val_accuracy']:.2%}, {one['test_accuracy']:.2%}".replace("%", " %"),
            f"{one['weights_bytes'] / 1e6:.1f} MB",
            str(one["views"]),
            f"{one['store_bytes']:,} bytes",
            f"{one['store_share']:.2%}".replace("%", " %"),
            f"{one['live_ms']:.2f} ms",
            f"{one['read_us']:.1f} µs",
        ]
        for _, one in sorted(results.items())
    ]
    return table(head, lines)


if __name__ == "__main__":
    raise SystemExit(main())
