"""Whether the tests of its room notice a mutant."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mutants.coverage_map import MARKERS, CoverageMap, tests_of_room
from mutants.forking import Limit, run_pytest
from mutants.mutant import Mutant
from mutants.rooms import ROOMS, files
from mutants.scratch import Scratch

#: Processor time of tests (as measured without a mutant) in the first and the second run of pytest.
BUDGETS = (15.0, 60.0)
_HEAVY = re.compile(r"\b(tensorflow|keras|semflash\.(training|tasks|importing|export|codecs))\b")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        status: "killed", "time-out" (counts as killed), "survived", or "not reached" (no test executes
            the line).
        by: the test that failed first.
        seconds: that it took.
    """

    status: str
    by: str
    seconds: float


class Judge:
    """Runs tests against mutants in a scratch copy."""

    def __init__(self, scratch: Scratch, known: CoverageMap) -> None:
        self._scratch = scratch
        self._map = known
        self._rooms = {room.name: room for room in ROOMS}
        self._slowness = 4.0
        self._originals: dict[str, bytes | None] = {}
        self._order = scratch.work / "order.json"

    def usable(self, mutant: Mutant) -> bool:
        """Whether a mutant compiles, and (C) not to the code of the original."""
        source = (self._scratch.tree / mutant.path).read_bytes()
        changed = mutant.apply(source)
        if mutant.path.endswith(".c"):
            known = self._scratch.work / "usable" / hashlib.sha256(source + b"\0" + changed).hexdigest()
            if not known.exists():
                known.parent.mkdir(exist_ok=True)
                known.write_text(str(int(self._is_other_code(mutant.path, source, changed))))
            return known.read_text() == "1"
        try:
            compile(changed, mutant.path, "exec")
        except (SyntaxError, ValueError):
            return False
        return True

    def _is_other_code(self, path: str, source: bytes, changed: bytes) -> bool:
        if path not in self._originals:
            self._originals[path] = self._object(path, source)
        return self._object(path, changed) not in (None, self._originals[path])

    def _object(self, path: str, source: bytes) -> bytes | None:
        """The optimised object file, None where the compiler refuses."""
        target = self._scratch.work / "object.o"
        folder = self._scratch.tree / path
        command = [
            "gcc",
            "-std=c11",
            "-O2",
            "-w",
            f"-I{self._scratch.tree}/device/include",
            f"-I{folder.parent}",
        ]
        done = subprocess.run(
            [*command, "-x", "c", "-", "-c", "-o", str(target)], input=source, capture_output=True
        )
        return target.read_bytes() if done.returncode == 0 else None

    def judge(self, mutant: Mutant) -> Verdict:
        """Apply a mutant and run tests until one fails."""
        start = time.monotonic()
        stages = self._stages(mutant)
        if not any(stages):
            return Verdict("not reached", "", 0.0)
        status, by = "survived", ""
        with self._scratch.mutated(mutant):
            for number, tests in enumerate(stages):
                if tests and status == "survived":
                    status, by = self._run(mutant.path, tests, is_first=number == 0)
        return Verdict(status, by, round(time.monotonic() - start, 1))

    def failing_without(self, tests: Sequence[str]) -> str:
        """The first of these tests that fails without a mutant, too; "" when none does."""
        path = tests[0].split("::")[0]
        return self._run(path, tests, is_first=False)[1]

    def _stages(self, mutant: Mutant) -> list[list[str]]:
        """Tests of the first run (quick, without TensorFlow) and of the second."""
        room = self._rooms[mutant.room]
        if mutant.path.endswith(".c"):
            tests = tests_of_room(room, self._scratch, self._map.seconds)
        else:
            of_room = set(files(room.tests, self._scratch.tree))
            tests = self._map.tests_of_line(self._scratch, mutant)
            tests = [test for test in tests if test.split("::")[0] in of_room]
        first: list[str] = []
        rest: list[str] = []
        spent = [0.0, 0.0]
        for test in tests:
            seconds = self._map.seconds[test]
            stage = 0 if spent[0] + seconds <= BUDGETS[0] and not self._is_heavy(test.split("::")[0]) else 1
            if spent[stage] + seconds <= BUDGETS[stage]:
                spent[stage] += seconds
                (first, rest)[stage].append(test)
        return [first, rest]

    def _is_heavy(self, path: str) -> bool:
        return _HEAVY.search((self._scratch.tree / path).read_text(encoding="utf-8")) is not None

    def _run(self, path: str, tests: Sequence[str], *, is_first: bool) -> tuple[str, str]:
        """Run tests, doctests of a mutated file with the first; status and the test that failed."""
        self._order.write_text(json.dumps({"order": tests, "known": self._map.known}), encoding="utf-8")
        arguments = ["-x", "-q", "-m", MARKERS, "--hypothesis-seed=0", "--tb=no", "--timeout=900"]
        arguments += [
            "-p",
            "no:cacheprovider",
            "-p",
            "mutants.order_plugin",
            *dict.fromkeys(test.split("::")[0] for test in tests),
        ]
        if is_first and b">>> " in (self._scratch.tree / path).read_bytes():
            arguments += ["--doctest-modules", path]
        environment = {**self._scratch.environment(), "SEMFLASH_MUTANTS_ORDER": str(self._order)}
        seconds = sum(self._map.seconds.get(test, 10.0) for test in tests)
        # Other programs may leave us a part of the processor: the last runs show how large a part.
        limit = Limit(15 + 2 * seconds, (60 + 6 * seconds) * self._slowness)
        started, used = time.monotonic(), _processor_seconds()
        printed = self._scratch.work / "output.txt"
        code = run_pytest(arguments, self._scratch.tree, environment, limit, printed)
        ratio = (time.monotonic() - started) / max(_processor_seconds() - used, 0.1)
        self._slowness = min(max(1.0, 0.7 * self._slowness + 0.3 * ratio), 15.0)
        output = printed.read_text(encoding="utf-8", errors="replace")
        if code is None:
            return "time-out", ""
        if code == 0:
            return "survived", ""
        if code < 0 or code in (1, 2) or (code == 4 and "error" in output.lower()):
            failed = _FAILED.search(output)
            return "killed", failed[1] if failed else f"exit code {code}"
        raise SystemExit(f"pytest ended with {code} for {path}:\n{output[-3000:]}")


def _processor_seconds() -> float:
    """Processor time of the children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
