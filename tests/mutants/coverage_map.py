"""Which tests execute which line: made once per copy of the tree, read for each mutant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import coverage

from mutants.mutant import Mutant
from mutants.rooms import ROOMS, Room, files
from mutants.scratch import Scratch

MARKERS = "not slow and not emulated and not hardware"
_RC = """[run]
source =
    host/semflash
    codegen/semflash_codegen
data_file = {data}
"""


class CoverageMap:
    """Tests per line of each mutated file, and seconds per test, from `work`.

    Attributes:
        known: all tests that were run; those that fail or skip without a mutant are of no use.
        seconds: the others, with their time.
    """

    def __init__(self, work: Path) -> None:
        known: dict[str, float | None] = json.loads((work / "seconds.json").read_text(encoding="utf-8"))
        self.known = list(known)
        self.seconds = {test: seconds for test, seconds in known.items() if seconds is not None}
        self._data = coverage.CoverageData(str(work / "coverage.data"))
        self._data.read()
        self._by_name = {Path(name).as_posix(): name for name in self._data.measured_files()}

    @staticmethod
    def exists(work: Path) -> bool:
        """Whether both files are there."""
        return (work / "seconds.json").is_file() and (work / "coverage.data").is_file()

    def tests_of_line(self, scratch: Scratch, mutant: Mutant) -> list[str]:
        """Tests that execute the line of a mutant, the quickest first.

        At module level a line runs when the file is imported, for no test's sake: all tests that enter the
        file are meant. The same for a default value, which runs when its function is defined.
        """
        name = self._by_name.get((scratch.tree / mutant.path).as_posix())
        if name is None:
            return []
        by_line = self._data.contexts_by_lineno(name)
        tests = set(by_line.get(mutant.change.line, ())) - {""}
        if not tests and (not mutant.change.scope or "" in by_line.get(mutant.change.line, ())):
            tests = {test for on_line in by_line.values() for test in on_line} - {""}
        return sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test))


def make(scratch: Scratch, python: str = sys.executable) -> None:
    """Run the tests of all rooms once under coverage (minutes)."""
    rc = scratch.work / "coverage.rc"
    rc.write_text(_RC.format(data=scratch.work / "coverage.data"), encoding="utf-8")
    command = [python, "-m", "coverage", "run", f"--rcfile={rc}", "-m", "pytest", "-q", "-m", MARKERS]
    command += ["-p", "mutants.coverage_plugin", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    command += list(dict.fromkeys(path for room in ROOMS for path in files(room.tests, scratch.tree)))
    seconds = scratch.work / "seconds.json"
    environment = {**scratch.environment(), "SEMFLASH_MUTANTS_SECONDS": str(seconds)}
    subprocess.run(command, cwd=scratch.tree, env=environment, check=False)
    if not CoverageMap.exists(scratch.work):
        raise SystemExit("the tests under coverage wrote no map\n  try: read pytest's output above")


def tests_of_room(room: Room, scratch: Scratch, seconds: dict[str, float]) -> list[str]:
    """All tests of a room in the order of its files, within a file the quickest first."""
    places = {path: index for index, path in enumerate(files(room.tests, scratch.tree))}
    tests = [test for test in seconds if test.split("::")[0] in places]
    return sorted(tests, key=lambda test: (places[test.split("::")[0]], seconds[test], test))
