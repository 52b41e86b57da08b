"""Interpreters in a process of their own: a crash, a hang or too much memory ends the child only.

A child is a module that reads a parcel from standard input and answers through
:mod:`semflash.runtime.child_side`. It is bounded, not locked up: it runs as the same user.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

from semflash.printable import printable
from semflash.processes import children

STAGE, RESULT = b"stage ", b"result\n"
_MESSAGE_CHARS = 300


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
        stage: the last one that it told, "" where it told none.
        result: what it answered; None where it died first.
        cause: why there is no result, in words; "" where there is one.
    """

    stage: str
    result: bytes | None
    cause: str


def run_child(module: str, parcel: bytes, timeout_s: float) -> Outcome:
    """Run ``python -m module`` with `parcel` as its input.

    Args:
        timeout_s: wall-clock time after which it is killed; the child bounds its memory and processor time.
    """
    import subprocess  # a bundle that is known needs no child, and this is most of the module's cost

    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", module]  # -P: nothing is imported from the working directory
    try:
        done = children.run_bytes(
            command, data=parcel, stderr=subprocess.PIPE, timeout_s=timeout_s, env=environment
        )
    except subprocess.TimeoutExpired as error:
        stage, _ = _parse(error.stdout or b"")
        return Outcome(stage, None, f"it took more than {timeout_s:.0f} s")
    stage, result = _parse(done.stdout)
    if result is not None and done.returncode == 0:
        return Outcome(stage, result, "")
    return Outcome(stage, None, _cause(done.returncode, done.stderr))


def _parse(output: bytes) -> tuple[str, bytes | None]:
    """(last stage, result) of what a child wrote."""
    stage = ""
    while output.startswith(STAGE) and b"\n" in output:
        line, _, output = output.partition(b"\n")
        stage = line[len(STAGE) :].decode("utf-8", "replace")
    return stage, output[len(RESULT) :] if output.startswith(RESULT) else None


def _cause(code: int, messages: bytes) -> str:
    """In words, with the last line that the child wrote."""
    lines = [line for line in messages.decode("utf-8", "replace").splitlines() if line.strip()]
    last = printable(lines[-1].strip()[:_MESSAGE_CHARS]) if lines else ""
    if code == -signal.SIGXCPU:
        how = "it used more processor time than it may"
    elif code < 0:
        how = f"it stopped with {_signal_name(-code)}"
    else:
        how = f"it ended with code {code}"
    return f"{how}: {last}" if last else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
