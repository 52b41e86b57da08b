"""Stops an operation at each of its writes in turn, and looks at what is on the disk each time.

Runs in a process that has stop_at_write.c preloaded (see :func:`run_scenarios`); every attempt is a forked
child.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: More writes than any operation here has: one that never comes to its end is a fault of the harness.
_WRITES_MAX = 5_000
_TIMEOUT_S = 550
#: A disk in memory, where syncing costs nothing; the usual folder where there is none.
_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Scenario:
    """An operation that is to be stopped.

    Attributes:
        name: of the operation, in words. before: makes the old state in an empty folder.
        act: the operation; done again it leads to the same state. look: the state as readers of semflash see
            it, plain JSON.
        between: what else may be seen after a stop, given (seen, old, new): a recording that was cut off.
        ready: work that all children share, done once before they are forked.
    """

    name: str
    before: Callable[[Path], None]
    act: Callable[[Path], None]
    look: Callable[[Path], Any]
    between: Callable[[Any, Any, Any], bool] = lambda seen, old, new: False
    ready: Callable[[], None] = lambda: None


@dataclass
class Count:
    """What was done for one scenario.

    Attributes:
        writes: of the operation when nobody stops it. stopped: attempts that were stopped, of the operation
            and of what repeats it. old, new, between: states that were found afterwards. files: that are
            there in the end.
    """

    name: str
    writes: int = 0
    stopped: int = 0
    old: int = 0
    new: int = 0
    between: int = 0
    files: int = 0


class Broken(AssertionError):
    """A state that must not be."""


class _Stopper:
    """The preloaded library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.sf_stop_counted.restype = ctypes.c_long
        self._library.sf_stop_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int]

    def arm(self, folder: Path, at: int, *, torn: bool) -> None:
        self._library.sf_stop_arm(os.fsencode(folder), at, int(torn))

    def counted(self) -> int:
        return int(self._library.sf_stop_counted())


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, as JSON; None: the child was ended by SIGKILL.

    Raises:
        Broken: it raised an exception; its text is that of the child.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            said = {"value": work()}
        except BaseException:
            said = {"error": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            json.dump(said, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    answer = json.loads(text)
    if "error" in answer:
        raise Broken(answer["error"])
    return answer["value"]


def listing(folder: Path) -> list[str]:
    """Every name below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Enumeration:
    """All stops of one scenario.

    Args:
        root: an empty folder. torn: also stop in the middle of each write. twice: also stop what repeats the
            operation after the first stop, at each of its writes. most: stops of a kind, evenly spread over
            the writes of a long operation; 0: all.
    """

    def __init__(
        self, scenario: Scenario, root: Path, *, torn: bool = False, twice: bool = False, most: int = 0
    ) -> None:
        self._scenario, self._stopper, self._most = scenario, _Stopper(), most
        self._base, self._work, self._middle = root / "base", root / "work", root / "middle"
        self._tears, self._twice = ((False, True) if torn else (False,)), twice
        self.count = Count(scenario.name)

    def run(self) -> Count:
        """Stop everywhere. Broken: a state that must not be."""
        scenario = self._scenario
        scenario.ready()
        # The operation always works in the same place: what it writes may hold the path.
        self._work.mkdir()
        in_child(lambda: scenario.before(self._work))
        shutil.copytree(self._work, self._base, symlinks=True)
        self._old = self._look()
        self.count.writes = in_child(lambda: self._act(0, torn=False))
        self._new, self._files = self._look(), listing(self._work)
        self.count.files = len(self._files)
        for torn in self._tears:
            self._stop_everywhere(self._base, torn, self._after)
        return self.count

    def _stop_everywhere(self, base: Path, torn: bool, then: Callable[[str], None]) -> None:
        step = max(1, self.count.writes // self._most) if self._most else 1
        for at in range(1, _WRITES_MAX, step):
            self._fresh(base)
            if in_child(partial(self._act, at, torn=torn)) is not None:
                return
            self.count.stopped += 1
            then(f"stopped {'in' if torn else 'before'} write {at}")
        raise Broken(f"{self._scenario.name}: more than {_WRITES_MAX} writes")

    def _act(self, at: int, *, torn: bool) -> int:
        self._stopper.arm(self._work, at, torn=torn)
        self._scenario.act(self._work)
        return self._stopper.counted()

    def _look(self) -> Any:
        return in_child(lambda: self._scenario.look(self._work))

    def _fresh(self, base: Path) -> None:
        shutil.rmtree(self._work)
        shutil.copytree(base, self._work, symlinks=True)

    def _after(self, where: str) -> None:
        """The state after a stop; then once more, to its end or stopped again."""
        middle = self._middle
        shutil.rmtree(middle, ignore_errors=True)
        shutil.copytree(self._work, middle, symlinks=True)
        self._check_state(where)
        self._fresh(middle)  # a reader may have mended something that a writer has to mend, too
        self._repeat(where)
        if self._twice:
            self._stop_everywhere(middle, False, lambda again: self._after_second(f"{where}, {again}"))

    def _after_second(self, where: str) -> None:
        self._check_state(where)
        self._repeat(where)

    def _check_state(self, where: str) -> None:
        try:
            seen = self._look()
        except Broken as error:
            raise self._broken(where, f"cannot be read:\n{error}") from error
        if seen == self._new:
            self.count.new += 1
        elif seen == self._old:
            self.count.old += 1
        elif self._scenario.between(seen, self._old, self._new):
            self.count.between += 1
        else:
            raise self._broken(where, f"is {str(seen)[:400]}")

    def _repeat(self, where: str) -> None:
        try:
            in_child(lambda: self._scenario.act(self._work))
        except Broken as error:
            raise self._broken(where, f"cannot be done again:\n{error}") from error
        if self._look() != self._new:
            raise self._broken(where, f"comes to {str(self._look())[:400]} when it is done again")
        left = sorted(set(listing(self._work)) ^ set(self._files))
        if left:
            raise self._broken(where, f"leaves other files for ever: {left}")

    def _broken(self, where: str, what: str) -> Broken:
        held = "\n  ".join(listing(self._work))
        return Broken(f"{self._scenario.name}, {where}: the state {what}\nthere are\n  {held}")


def compile_stopper(folder: Path) -> Path:
    """stop_at_write.c as a library. BuildError, ToolMissingError: as of the native board."""
    from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, compile_native

    return compile_native([HERE / "stop_at_write.c"], [], folder / "stop.so", warnings=STRICT_WARNINGS)


def run_scenarios(
    names: list[str],
    library: Path,
    *,
    torn: bool = False,
    twice: bool = False,
    most: int = 0,
    timeout_s: float = _TIMEOUT_S,
) -> list[Count]:
    """Run scenarios of scenarios.py or training_scenarios.py in a process of their own.

    Raises:
        AssertionError: a state that must not be; the message says where it was stopped.
    """
    command = [sys.executable, "-m", "kill.stopping", *names]
    command += ["--torn"] * torn + ["--twice"] * twice + ["--most", str(most)]
    done = subprocess.run(
        command,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [Count(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> int:
    """The process with the preloaded library: one JSON line a scenario."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--torn", action="store_true")
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--most", type=int, default=0)
    chosen = parser.parse_args()
    for name in chosen.names:
        with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
            scenario = find(name)
            root, kinds = Path(folder).resolve(), {"torn": chosen.torn, "twice": chosen.twice}
            count = Enumeration(scenario, root, most=chosen.most, **kinds).run()
            print(json.dumps(asdict(count)), flush=True)
    return 0


def find(name: str) -> Scenario:
    """The scenario of that name; those of training import TensorFlow."""
    from kill import scenarios, segment_scenarios, teacher_scenarios

    every = (*scenarios.ALL, *scenarios.WRONG, *teacher_scenarios.ALL, *segment_scenarios.ALL)
    found = {scenario.name: scenario for scenario in every}
    if name not in found:
        from kill import training_scenarios

        found = {scenario.name: scenario for scenario in training_scenarios.ALL}
    return found[name]


if __name__ == "__main__":
    raise SystemExit(main())
