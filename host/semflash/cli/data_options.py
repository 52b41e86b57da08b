"""Flags that say which images are used, and the data set of a bundle that they mean."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.settings import first

if TYPE_CHECKING:
    from semflash.bundle import Bundle
    from semflash.data.dataset import Dataset
    from semflash.settings import EvaluateSettings, MonitorSettings


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """--dataset, --data-dir, --skip-bad and --sample-seed."""
    parser.add_argument(
        "--dataset", help="name of a data set, or a folder (default: what the bundle was trained on)"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the data set's files lie")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images of a folder that cannot be read"
    )
    parser.add_argument(
        "--sample-seed", type=seed, metavar="N", help="which images a smaller number of them is (default 0)"
    )


def seed(text: str) -> int:
    """A whole number of 0 to 2^53."""
    if not text.isdecimal() or int(text) > 1 << 53:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 to 2^53")
    return int(text)


def load(bundle: Bundle, args: argparse.Namespace, table: EvaluateSettings | MonitorSettings) -> Dataset:
    """The data set that flags, settings or the bundle mean; its notes go to stderr.

    Raises:
        DatasetError: see :func:`semflash.edge.bundle_data.bundle_dataset`.
    """
    from semflash.edge.bundle_data import bundle_dataset
    from semflash.printable import printable

    data = bundle_dataset(
        bundle,
        first(args.dataset, table.dataset),
        data_dir=first(args.data_dir, table.data_dir),
        skip_bad=args.skip_bad,
    )
    for note in data.notes:
        print(f"semflash: {data.name}: {printable(note)}", file=sys.stderr)
    return data
