"""Write docs/experiments/lamsc.md from experiments/results/lamsc; the text around stays.

python experiments/lamsc/tables.py            # write
python experiments/lamsc/tables.py --check    # exit 1 when the tables are not what the results say
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)

from experiments.lamsc.blocks import all_blocks
from experiments.lamsc.results import read
from experiments.markdown import with_blocks, write
from semflash.errors import SemflashError

RESULTS = ROOT / "experiments" / "results" / "lamsc"
DOCUMENT = ROOT / "docs" / "experiments" / "lamsc.md"
MARKER = "written by experiments/lamsc/tables.py"


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
        found = [read(path) for path in sorted(args.results.glob("*.json"))]
    except SemflashError as error:
        print(f"tables: {error}", file=sys.stderr)
        return error.exit_code
    old = args.document.read_text(encoding="utf-8")
    new = with_blocks(old, all_blocks(found), MARKER)
    if args.check:
        if new != old:
            print(f"{args.document.name} is not what the results say: run it again", file=sys.stderr)
        return int(new != old)
    write(args.document, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
