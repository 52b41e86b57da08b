"""Draw mutants, run the tests of their rooms against each, write results.json and the table of docs.

make mutants                                 300 mutants with seed 1; goes on where it stopped
make mutants MUTANTS="--renew"               after the sources changed: copy, coverage and results anew
make mutants MUTANTS="--again"               after new tests: the survivors once more
make mutants MUTANTS="--room link --count 50 --seed 7 --results build/link.json"
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants import coverage_map, table
from mutants.forking import preload
from mutants.judge import Judge
from mutants.mutant import Mutant
from mutants.rooms import ROOMS, ROOT
from mutants.sample import draw
from mutants.scratch import Scratch

HERE = Path(__file__).resolve().parent
ALIVE = ("survived", "not reached")


def main() -> None:
    """The command."""
    options = _options()
    # A shell that starts this in the background has SIGINT ignored; tests of Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scratch = Scratch(options.work, renew=options.renew)
    scratch.renew_tests()
    known = coverage_map.complete(scratch, (room for room in ROOMS if options.room in (None, room.name)))
    os.nice(19 - os.nice(0))
    preload()
    judge = Judge(scratch, known)
    drawn = draw(options.count, options.seed, scratch.tree, judge.usable, options.room)
    results = (
        {}
        if options.renew or not options.results.exists()
        else json.loads(options.results.read_text())["mutants"]
    )
    keys = {mutant.key for mutant in drawn}
    results = {key: result for key, result in results.items() if key in keys or not _is_of(options.room, key)}
    for number, mutant in enumerate(_part_of(drawn, options.part), 1):
        before = results.get(mutant.key)
        wanted = options.key in (None, mutant.key)
        if wanted and (before is None or options.key or (options.again and before["status"] in ALIVE)):
            verdict = judge.judge(mutant)
            results[mutant.key] = {**_described(mutant), **asdict(verdict)}
            _save(options, results)
            print(
                f"{number:4}/{len(drawn)} {verdict.status:11} {verdict.seconds:6.1f} s  {mutant.key}",
                flush=True,
            )
    _save(options, results)
    if options.check:
        _check(judge, known.seconds, results)
    table.write(ROOT / "docs" / "mutants.md", options.results, HERE / "equivalents.toml")


def _check(judge: Judge, seconds: dict[str, float], results: dict[str, dict[str, object]]) -> None:
    """Run each test that killed once more without a mutant: one that fails by chance has killed nothing."""
    killers = sorted({str(result["by"]) for result in results.values()} & seconds.keys())
    for path in sorted({test.split("::")[0] for test in killers}):
        failed = judge.failing_without([test for test in killers if test.split("::")[0] == path])
        print(f"{path}: {failed or 'passes without a mutant'}", flush=True)


def _part_of(drawn: list[Mutant], part: float) -> list[Mutant]:
    """The first ones of each room; their order is drawn, so that they are a fair sample of their own."""
    rooms = Counter(mutant.room for mutant in drawn)
    seen: Counter[str] = Counter()
    chosen = []
    for mutant in drawn:
        seen[mutant.room] += 1
        if seen[mutant.room] <= math.ceil(part * rooms[mutant.room]):
            chosen.append(mutant)
    return chosen


def _is_of(room: str | None, key: str) -> bool:
    return room is None or key.startswith(f"{room}/")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, help="mutants to draw (300)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (1)")
    parser.add_argument("--part", type=float, default=1.0, help="only this share of each room's mutants (1)")
    parser.add_argument("--room", help="only those of this room")
    parser.add_argument("--key", help="only this mutant, also when it has a result")
    parser.add_argument("--again", action="store_true", help="run the survivors once more")
    parser.add_argument(
        "--check", action="store_true", help="run the tests that killed without a mutant, too"
    )
    parser.add_argument("--renew", action="store_true", help="copy the sources again and forget all results")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".cache/mutants", help="folder of copy and caches"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="file to write")
    options = parser.parse_args()
    options.work = options.work.absolute()
    return options


def _described(mutant: Mutant) -> dict[str, str | int]:
    change = mutant.change
    return {
        "path": mutant.path,
        "line": change.line,
        "rule": change.rule,
        "old": change.old,
        "new": change.new,
    }


def _save(options: argparse.Namespace, results: dict[str, dict[str, object]]) -> None:
    whole = {"seed": options.seed, "count": options.count, "mutants": results}
    temporary = options.results.with_suffix(".new")
    temporary.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(options.results)


if __name__ == "__main__":
    main()
