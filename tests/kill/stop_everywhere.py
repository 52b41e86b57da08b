"""Every operation that writes, stopped by SIGKILL at every write, and again while it is repeated.

    PYTHONPATH=tests python tests/kill/stop_everywhere.py

Prints one line an operation and the sums that docs/threat-model.md gives. The first round stops before each
write and in the middle of each call of write (`--most N`: at N writes or more of an operation that has more);
the second stops the repetition as well, at a few of its writes after each of a few stops (`--twice N`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kill import scenarios, segment_scenarios, teacher_scenarios, training_scenarios
from kill.stopping import Count, compile_stopper, run_scenarios

_TIMEOUT_S = 3_600


def main() -> int:
    """Exit code 1: a state that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=0, help="stops of an operation, first round; 0: all")
    parser.add_argument("--twice", type=int, default=12, help="stops of each of the two, second round")
    chosen = parser.parse_args()
    counts: list[Count] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        library = compile_stopper(Path(folder))
        for group in (scenarios.ALL, teacher_scenarios.ALL, segment_scenarios.ALL, training_scenarios.ALL):
            names = [scenario.name for scenario in group]
            try:
                once = run_scenarios(names, library, torn=True, most=chosen.most, timeout_s=_TIMEOUT_S)
                again = run_scenarios(names, library, twice=True, most=chosen.twice, timeout_s=_TIMEOUT_S)
            except AssertionError as error:
                print(error, file=sys.stderr)
                return 1
            for first, second in zip(once, again, strict=True):
                stops = f"stopped {first.stopped:4} and {second.stopped:4} times"
                print(f"{first.name:52} {first.writes:4} writes, {stops}", flush=True)
            counts += [*once, *again]
    stopped, old = sum(count.stopped for count in counts), sum(count.old for count in counts)
    new, between = sum(count.new for count in counts), sum(count.between for count in counts)
    print(
        f"{len(counts) // 2} operations, stopped {stopped:,} times: {old:,} old states, {new:,} new,"
        f" {between:,} recordings cut off behind a whole record or build folders that say they are not built;"
        f" 0 others, 0 reruns that failed, 0 files left; {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
