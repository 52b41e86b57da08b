"""The plugin that QEMU counts cycles with: device/emulator/cycles.c, compiled once into the user's cache.

python -m semflash.bench.cycles.plugin      # what `make setup` calls
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from semflash.errors import BuildError, SemflashError, ToolMissingError, UsageError
from semflash.firmware import resources
from semflash.firmware.building.platformio import core_dir
from semflash.firmware.emulator.native_compiler import STRICT_WARNINGS, find_compiler
from semflash.processes import children

SOURCE = "device/emulator/cycles.c"
_PROBE_TIMEOUT_S = 20
_COMPILE_TIMEOUT_S = 120


def plugin(command: str) -> Path:
    """The compiled plugin, which the emulator `command` is known to load; made where there is none yet.

    Raises:
        ToolMissingError: No C compiler, no emulator, or one that takes no such plugin.
        BuildError: The compiler fails.
    """
    program = shutil.which(command)
    if program is None:
        raise ToolMissingError(
            "the emulator is not installed", value=command, remedy=f"apt-get install {command}"
        )
    source = resources.root() / SOURCE
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = core_dir().parent / "cycles" / f"cycles-{digest}.so"
    if not library.is_file():
        _compile(source, library)
    _probe(program, library)
    return library


def argument(library: Path, plan: Path, out: Path) -> str:
    """What follows QEMU's -plugin.

    Raises:
        UsageError: QEMU splits its arguments at commas, so that a path cannot hold one.
    """
    for path in (library, plan, out):
        if "," in str(path):
            raise UsageError(
                "QEMU takes no path with a comma", value=path, remedy="set TMPDIR to another folder"
            )
    return f"{library},plan={plan},out={out}"


def _compile(source: Path, library: Path) -> None:
    """A library whose missing symbols QEMU has."""
    library.parent.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_suffix(f".{os.getpid()}")
    options = ["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", *STRICT_WARNINGS]
    command = [*find_compiler(), *options, str(source), "-o", str(unfinished)]
    try:
        done = children.run(command, timeout_s=_COMPILE_TIMEOUT_S, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise BuildError(
                "the C compiler failed",
                value=f"{source}\n{done.stderr[-2000:]}",
                remedy="cycles need a compiler for this computer; --no-cycles goes without",
            )
        unfinished.replace(library)
    finally:
        unfinished.unlink(missing_ok=True)


def _probe(program: str, library: Path) -> None:
    """Whether this emulator loads the plugin: a machine without anything, which ends at once."""
    # A plugin that does not load ends QEMU with an error; the monitor on stdin ends it without one.
    command = [program, "-M", "none", "-display", "none", "-S", "-monitor", "stdio"]
    command += ["-plugin", f"{library},probe=1"]
    try:
        done = children.run(command, timeout_s=_PROBE_TIMEOUT_S, data=b"quit\n")
    except subprocess.TimeoutExpired as error:
        raise ToolMissingError(
            "the emulator does not end when it is asked for its plugins",
            value=f"{program}, {_PROBE_TIMEOUT_S} s",
            remedy="--no-cycles goes without",
        ) from error
    if done.returncode != 0:
        raise ToolMissingError(
            "this emulator takes no plugin that counts cycles",
            value=(done.stdout.strip().splitlines() or ["it said nothing"])[-1],
            remedy="QEMU 7.2 or later, built with plugins, as Debian's is; --no-cycles goes without",
        )


def main() -> int:
    """Compile it now. What is missing is said, but nothing else needs the plugin: exit code 0."""
    try:
        print(f"cycle estimates: {plugin('qemu-system-arm')}")
    except SemflashError as error:
        print(f"no cycle estimates: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
