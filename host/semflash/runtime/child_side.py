"""Interpreters in a process of their own: the child's side (see :mod:`semflash.runtime.child`)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

from semflash.runtime.child import RESULT, STAGE

_PR_SET_PDEATHSIG = 1
#: What it writes to a file is what a native library printed (native_messages.py).
_FILE_BYTES = 1 << 20


class Answers:
    """The way back to the parent. Native code that prints cannot get in between: it gets standard error."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def stage(self, name: str) -> None:
        """Say what is tried next."""
        self._write(STAGE + name.replace("\n", " ").encode() + b"\n")

    def result(self, data: bytes) -> None:
        """The answer; nothing may follow it."""
        self._write(RESULT + data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def limit_process(memory_bytes: int, cpu_s: int) -> None:
    """Bound this process: address space, processor time, files of 1 MiB; it dies with its parent."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux; elsewhere the limits above end it
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def parcel() -> bytes:
    """What the parent gave."""
    return sys.stdin.buffer.read()
