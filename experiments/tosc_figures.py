"""What a trained TOSC codec can do, in float: accuracy by level, with a wrong state, with fewer values sent.

    python experiments/tosc_figures.py RUN [RUN ...] [--split val|test] [--out DIR]

RUN is a folder of ``semflash train`` (or its codec/). For each one DIR gets NAME.json, the figures, and
NAME.npz, which image was right over which channel, for paired tests between runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from semflash.array_files import write_json, write_npz
from semflash.codecs.tosc.measuring import REPORTED, Measure
from semflash.export.found import find_run
from semflash.training.models import load_run
from semflash.training.task import dataset_of

#: Channels that each image meets at each level.
REPEATS = 4
KEPT = (32, 24, 16, 8)
STATE_ERRORS = (-2, -1, 0, 1, 2)
#: A value that tells less than this is said to be one that can be dropped, nats.
LEAST_NATS = 0.01


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/tosc-figures"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for run in args.runs:
        figures, right = figures_of(run, args.split, args.data_dir)
        name = f"{run.name}-{args.split}"
        write_json(args.out / f"{name}.json", figures)
        write_npz(args.out / f"{name}.npz", right)
        print(json.dumps({"run": run.name, "accuracy": figures["accuracy"], "mean": figures["mean"]}))
    return 0


def figures_of(
    run: Path, split: str, data_dir: Path | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Figures of one run as plain JSON values, and by level which image was right, bool (repeats, N)."""
    trained = load_run(find_run(run)[0])
    data = dataset_of(trained.info, data_dir)
    measure = Measure(trained.codec, {"val": data.val, "test": data.test}[split], REPEATS)
    levels, maps = REPORTED[trained.codec.sizes.channel], measure.maps()
    right = {f"{level:g}": measure.right(maps, level) for level in levels}
    accuracy = {level: float(found.mean()) for level, found in right.items()}
    nats = {f"{level:g}": measure.nats(level, maps).ravel() for level in levels}
    states = {
        str(error): measure.by_level(levels, state_error=error, maps=maps)
        for error in (STATE_ERRORS if trained.codec.sizes.adaptive else (0,))
    }
    figures = {
        "run": run.name,
        "split": split,
        "images": len(measure.split),
        "recipe": {
            key: trained.info.recipe[key] for key in ("name", "seed", "teacher", "sizes", "train_images")
        },
        "accuracy": accuracy,
        "mean": float(np.mean(list(accuracy.values()))),
        "by_state_error": states,
        "mean_nats": {level: float(each.mean()) for level, each in nats.items()},
        "values_below_least": {level: int((each < LEAST_NATS).sum()) for level, each in nats.items()},
        "by_values_kept": {f"{level:g}": measure.by_kept(KEPT, level, maps) for level in levels},
    }
    return figures, right


if __name__ == "__main__":
    sys.exit(main())
