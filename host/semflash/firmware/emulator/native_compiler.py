"""The host's C compiler, as board `native` and the tests use it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from semflash import atomic
from semflash.errors import BuildError, ToolMissingError
from semflash.processes import children

# The warnings that all device C is free of.
STRICT_WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wdouble-promotion",
    "-Werror",
)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
_COMPILE_TIMEOUT_S = 300


def find_compiler() -> list[str]:
    """The command of the host's C compiler: $CC (which may hold options), else cc, gcc or clang from PATH.

    Raises:
        ToolMissingError: there is none.
    """
    configured = os.environ.get("CC", "").strip()
    if configured:
        command = shlex.split(configured)
        if shutil.which(command[0]) is None:
            raise ToolMissingError(
                "$CC names a compiler that does not exist", value=configured, remedy="unset CC"
            )
        return command
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    raise ToolMissingError(
        "no C compiler for this computer was found",
        value="cc, gcc, clang",
        remedy="apt-get install gcc, or set CC; board native needs it",
    )


def compile_native(
    sources: Sequence[Path],
    include_dirs: Sequence[Path],
    out: Path,
    *,
    defines: Mapping[str, str] | None = None,
    sanitize: bool = False,
    executable: bool = False,
    warnings: Sequence[str] = (),
) -> Path:
    """Compile C11 sources to one shared library (or executable) for this computer.

    Args:
        sources: .c files.
        include_dirs: searched in this order.
        out: file to make; written under a temporary name and renamed.
        defines: macros, name to replacement text.
        sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer; meant for executables.
        executable: a program instead of a library.
        warnings: further options, for instance `STRICT_WARNINGS`.

    Returns:
        `out`.

    Raises:
        ToolMissingError: no compiler.
        BuildError: the compiler failed; the error holds its output.
    """
    if not sources:
        raise BuildError("no C source to compile", value=out, remedy="name at least one .c file")
    out.parent.mkdir(parents=True, exist_ok=True)
    options = ["-std=c11", "-O1" if sanitize else "-O2", "-g", "-fvisibility=hidden", *warnings]
    options += SANITIZERS if sanitize else ()
    options += () if executable else ("-fPIC", "-shared")
    if not executable and sys.platform.startswith("linux"):
        options.append("-Wl,-z,defs")  # a missing symbol is found here, not when the library is loaded
    options += [f"-D{name}={value}" for name, value in (defines or {}).items()]
    options += [f"-I{folder}" for folder in include_dirs]
    with atomic.scratch(out.parent, f".{out.name}.") as folder:
        temporary = folder / out.name
        _run([*find_compiler(), *options, *map(str, sources), "-o", str(temporary)])
        temporary.replace(out)
    return out


def _run(command: list[str]) -> None:
    """Run the compiler; BuildError with the end of its output when it fails."""
    try:
        result = children.run(command, timeout_s=_COMPILE_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            "the C compiler does not end",
            value=f"{_COMPILE_TIMEOUT_S} s",
            remedy="see whether the machine is overloaded",
        ) from error
    if result.returncode != 0:
        raise BuildError(
            "the C compiler failed",
            value=f"exit status {result.returncode}\n{result.stdout[-4000:]}",
            remedy="read the first error above; -v shows the command",
        )
