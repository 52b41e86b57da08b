"""``semflash export``: a training run becomes a bundle, with proof."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.errors import UsageError
from semflash.settings import BUNDLE_SUFFIX as SUFFIX
from semflash.settings import Settings, first

if TYPE_CHECKING:
    from semflash.bundle import Bundle

HELP = "turn a trained codec into a bundle, with proof"
EPILOG = """examples:
  semflash export runs/fashion-mnist-48 fashion-mnist-48.semcodec
  semflash export runs/mine mine.semcodec --whole-graph --force
  semflash export                       # run and bundle of the semflash.toml here or above

Before anything is written, TFLite-Micro and LiteRT must give the same codes on 1,000 validation images, and
the accuracy must be above guessing.
Needs semflash[train].
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", type=Path, help="directory of a training run (default: that of semflash.toml)"
    )
    parser.add_argument(
        "out",
        nargs="?",
        type=Path,
        metavar="NAME.semcodec",
        help="bundle to make (default: that of semflash.toml)",
    )
    parser.add_argument("--name", help="name of the bundle (default: that of the directory)")
    parser.add_argument(
        "--task", type=Path, metavar="DIR", help="run of the task network (default: RUN/task)"
    )
    parser.add_argument("--dataset", metavar="FOLDER", help="where the images of the training are now")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument("--whole-graph", action="store_true", help="keep GDN and PReLU in the int8 graph")
    parser.add_argument(
        "--cam",
        choices=("auto", "folded", "separate"),
        default="auto",
        help="a channel-adaptive module goes into the projection behind it, or stays a stage of its own "
        "(default: what takes less flash)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace an existing bundle; export one that is no better than guessing",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from semflash.bundle.writer import check_place
    from semflash.export.found import find_run
    from semflash.runtime.native_messages import hidden_native_messages

    _complete(args, settings)
    check_place(args.out, args.force)
    find_run(args.run)
    if not args.json:
        print("loading TensorFlow ...", file=sys.stderr, flush=True)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # only TensorFlow's models convert; weights fit every backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
        from semflash.export.run import export

    bundle = export(
        args.run,
        args.out,
        name=args.name,
        task_dir=args.task,
        whole_graph=args.whole_graph,
        modulation=args.cam,
        overwrite=args.force,
        force=args.force,
        data_dir=first(args.data_dir, settings.train.data_dir),
        data=args.dataset,
    )
    if forced := bundle.record.recipe.get("forced"):
        print(f"semflash: exported all the same (--force), and its record says so: {forced}", file=sys.stderr)
    if args.json:
        import json

        print(json.dumps(summary(bundle)))
    else:
        _print(bundle)
        named = settings.build.bundle is not None and Path(settings.build.bundle) == bundle.path.absolute()
        name = "" if named else f" {shlex.quote(str(args.out))}"
        print(f"next: semflash evaluate{name}, then semflash run{name}")
    return 0


def _complete(args: argparse.Namespace, settings: Settings) -> None:
    """Put the run and the bundle of semflash.toml where none is named.

    Raises:
        UsageError: it names none either.
    """
    if args.run is None:
        if settings.train.out_dir is None and settings.train.recipe is None:
            raise UsageError("which training run?", remedy="semflash export RUN NAME.semcodec")
        args.run = Path(settings.train.out_dir or Path("runs") / str(settings.train.recipe))
    if args.out is None:
        bundle = settings.build.bundle
        if bundle is None or not bundle.endswith(SUFFIX):
            name = args.name or args.run.name
            raise UsageError("which bundle?", remedy=f"semflash export {args.run} {name}{SUFFIX}")
        args.out = Path(bundle)


def summary(bundle: Bundle) -> dict[str, Any]:
    """Plain values for ``--json``: what the export found out."""
    import msgspec

    record = bundle.record
    return {
        "bundle": str(bundle.path),
        "name": bundle.name,
        "hash": bundle.hash_hex,
        "payload_bytes": bundle.payload_bytes,
        "operators": record.operators,
        "macs": record.macs,
        "arena_bytes": record.arena_bytes,
        "metric": bundle.output.metric.name,
        "task_value": record.task_value,
        "forced": record.recipe.get("forced"),
        "proof": msgspec.to_builtins(record.proof),
    }


def _print(bundle: Bundle) -> None:
    record, proof = bundle.record, bundle.record.proof
    assert proof is not None  # export always proves
    print(f"{bundle.path}  bundle {bundle.hash_hex[:8]}, {bundle.payload_bytes} bytes per image")
    print(f"  operators          {' '.join(record.operators)}")
    print(f"  MACs               {record.macs:,}")
    print(f"  TFLM arena         {record.arena_bytes:,} bytes (64-bit host)")
    print(f"  proof              {proof.images:,} images: {' = '.join(proof.references)} in every code")
    print(f"  int8 against float {proof.codes_differing_from_float:.2%} of the codes differ")
    metric = bundle.output.metric
    print(
        f"  {metric.title:<18} {metric.text(proof.float_value)} float, {metric.text(proof.int8_value)} int8 "
        f"({proof.validation_images:,} validation images, no damage)"
    )
    if record.task_value is not None:
        print(f"  task network       {metric.text(record.task_value)} on the test split")
