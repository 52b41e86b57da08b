"""pytest in a child that starts with third-party packages imported: their import is most of a short run."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Imported before the fork where they are installed; none may import semflash.
PRELOADED = (
    "numpy",
    "hypothesis",
    "hypothesis.internal.conjecture.engine",
    "hypothesis.extra.numpy",
    "cffi",
    "pycparser",
    "msgspec",
    "serial",
    "serial.tools.list_ports",
    "cobs.cobs",
    "rich.console",
    "rich.live",
    "tomlkit",
    "PIL.Image",
    "ai_edge_litert.interpreter",
    "elftools.elf.elffile",
    "flatbuffers",
    "unittest.mock",
    "multiprocessing.pool",
)


def preload() -> None:
    """Import what the children need; called once."""
    for name in PRELOADED:
        if importlib.util.find_spec(name.split(".")[0]) is not None:
            importlib.import_module(name)
    own = [name for name in sys.modules if name.split(".")[0] in ("semflash", "semflash_codegen")]
    if own:
        raise SystemExit(f"imported before the fork, so that mutants would not be seen: {own}")
    gc.freeze()


@dataclass(frozen=True)
class Limit:
    """The time that a child may take: processor time against loops, wall time against waiting for ever."""

    processor_s: float
    wall_s: float


def run_pytest(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], limit: Limit, output: Path
) -> int | None:
    """pytest's exit code in a child in `folder`, or None when the time is over; nothing it started survives.

    Args:
        output: file for what it prints.
    """
    child = os.fork()
    if child == 0:
        seconds = int(limit.processor_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        _be_pytest(arguments, folder, environment, output)
    deadline = time.monotonic() + limit.wall_s
    code: int | None = None
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                break
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if code is None:
            os.waitpid(child, 0)
    return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code


def _be_pytest(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path) -> None:
    """The child: never returns."""
    code = 3
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        os.chdir(folder)
        os.environ.update(environment)
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
        code = int(pytest.main(list(arguments)))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
