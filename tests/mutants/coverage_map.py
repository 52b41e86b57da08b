"""Which tests execute which line: made once per copy of the tree, read for each mutant."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import coverage

from mutants.mutant import Mutant
from mutants.rooms import Room, files
from mutants.scratch import Scratch

MARKERS = "not slow and not emulated and not hardware"
DATA, SECONDS = "coverage.data", "seconds.json"
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
        known = _read_seconds(work)
        self.known = list(known)
        self.seconds = {test: seconds for test, seconds in known.items() if seconds is not None}
        self._data = coverage.CoverageData(str(work / DATA))
        self._data.read()
        self._by_name = {name.partition("/tree/")[2]: name for name in self._data.measured_files()}

    def tests_of_line(self, scratch: Scratch, mutant: Mutant) -> list[str]:
        """Tests that execute the line of a mutant, the quickest first.

        At module level a line runs when the file is imported, for no test's sake: all tests that enter the
        file are meant, and where none does (types and constants), all. The same for a default value, which
        runs when its function is defined.
        """
        name = self._by_name.get(mutant.path)
        if name is None:
            return []
        by_line = self._data.contexts_by_lineno(name)
        lines = _statement((scratch.tree / mutant.path).read_bytes(), mutant.change.line)
        contexts = {test for line in lines for test in by_line.get(line, ())}
        tests = contexts - {""}
        if not tests and (not mutant.change.scope or "" in contexts):
            entering = {test for on_line in by_line.values() for test in on_line} - {""}
            tests = entering or set(self.seconds)
        return sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test))


def _statement(source: bytes, line: int) -> range:
    """Lines of the innermost statement around a line, of one with a body those before its body."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if node.lineno <= line <= end:
                found = range(node.lineno, end + 1)
    return found


def complete(scratch: Scratch, rooms: Iterable[Room]) -> CoverageMap:
    """Run the rooms' test files that the map does not know once under coverage (minutes); the whole map."""
    for room in rooms:
        known = {test.split("::")[0] for test in _read_seconds(scratch.work)}
        missing = [path for path in files(room.tests, scratch.tree) if path not in known]
        if missing:
            print(f"tests of room {room.name} under coverage: {len(missing)} files", flush=True)
            _measure(scratch, missing)
    return CoverageMap(scratch.work)


def _measure(scratch: Scratch, paths: Sequence[str]) -> None:
    """Add test files to the map."""
    rc = scratch.work / "coverage.rc"
    rc.write_text(_RC.format(data=scratch.work / DATA), encoding="utf-8")
    part = scratch.work / "seconds.part.json"
    part.unlink(missing_ok=True)
    command = [sys.executable, "-m", "coverage", "run", "--append", f"--rcfile={rc}", "-m", "pytest", "-q"]
    command += [
        "-m",
        MARKERS,
        "--hypothesis-seed=0",
        "-p",
        "no:cacheprovider",
        "-p",
        "mutants.coverage_plugin",
    ]
    environment = {**scratch.environment(), "SEMFLASH_MUTANTS_SECONDS": str(part)}
    with (scratch.work / "coverage.txt").open("wb") as printed:
        subprocess.run([*command, *paths], cwd=scratch.tree, env=environment, stdout=printed, check=False)
    if not part.is_file():
        raise SystemExit(f"the tests under coverage did not end\n  try: read {printed.name}")
    seconds = _read_seconds(scratch.work) | json.loads(part.read_text(encoding="utf-8"))
    # A file whose tests are all slow or emulated has none to choose from, and need not be run again.
    measured = {test.split("::")[0] for test in seconds}
    seconds |= {f"{path}::": None for path in paths if path not in measured}
    (scratch.work / SECONDS).write_text(json.dumps(seconds), encoding="utf-8")


def _read_seconds(work: Path) -> dict[str, float | None]:
    path = work / SECONDS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def tests_of_room(room: Room, scratch: Scratch, seconds: dict[str, float]) -> list[str]:
    """All tests of a room in the order of its files, within a file the quickest first."""
    places = {path: index for index, path in enumerate(files(room.tests, scratch.tree))}
    tests = [test for test in seconds if test.split("::")[0] in places]
    return sorted(tests, key=lambda test: (places[test.split("::")[0]], seconds[test], test))
