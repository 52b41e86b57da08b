"""A copy of the working tree that mutants are applied to, and the environment that tests run in there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutants.mutant import Mutant
from mutants.rooms import ROOMS, ROOT, files

CCACHE = Path("/usr/lib/ccache")


class Scratch:
    """The copy under `work`/tree; `work` also keeps caches between mutants.

    Args:
        work: a folder of our own.
        renew: copy the working tree again.
    """

    def __init__(self, work: Path, *, renew: bool) -> None:
        self.work = work
        self.tree = work / "tree"
        work.mkdir(parents=True, exist_ok=True)
        if renew:
            shutil.rmtree(self.tree, ignore_errors=True)
            for stale in work.glob("*.*"):
                stale.unlink()
        if not self.tree.exists():
            self._copy()
        self._check_sources()

    def _copy(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.split(b"\0")
        for name in map(os.fsdecode, filter(None, listed)):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, self.tree / name)
        (self.tree / ".venv").symlink_to(Path(sys.prefix))

    def _check_sources(self) -> None:
        """The copy's sources are the working tree's: newer tests would kill anything older."""
        for path in (path for room in ROOMS for path in files(room.sources, ROOT)):
            copied = self.tree / path
            if not copied.is_file() or copied.read_bytes() != (ROOT / path).read_bytes():
                raise SystemExit(
                    f"{path} is not as it was when {self.tree} was made, or a mutant was left in there\n"
                    "  try: --renew, which makes the copy, the coverage and all results anew"
                )

    def renew_tests(self) -> None:
        """Take over tests that were written since the copy was made."""
        for path in sorted((ROOT / "tests").rglob("*")):
            target = self.tree / path.relative_to(ROOT)
            if path.suffix not in (".py", ".c", ".h", ".json") or not path.is_file():
                continue
            if not target.exists() or target.read_bytes() != path.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """The tree with one mutant applied."""
        path = self.tree / mutant.path
        source = path.read_bytes()
        try:
            self._write(path, mutant.apply(source))
            yield
        finally:
            self._write(path, source)
            shutil.rmtree(self.tree / ".hypothesis", ignore_errors=True)

    @staticmethod
    def _write(path: Path, source: bytes) -> None:
        """Write a source and forget its bytecode, which hides a change of one length within a second."""
        path.write_bytes(source)
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            stale.unlink()

    def environment(self) -> dict[str, str]:
        """Variables for the tests: the copy's packages first, caches in `work`, ccache where there is one."""
        path = os.environ["PATH"]
        return {
            **os.environ,
            "PATH": f"{CCACHE}:{path}" if CCACHE.is_dir() else path,
            "CCACHE_DIR": str(self.work / "ccache"),
            "PYTHONPATH": os.pathsep.join(str(self.tree / name) for name in ("host", "codegen", "tests")),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.tree / ".hypothesis"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
