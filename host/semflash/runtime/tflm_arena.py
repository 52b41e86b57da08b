"""How large a tensor arena TFLite-Micro needs, found by bisection in a process of its own.

Processes of their own because TFLite-Micro writes to stderr and may crash when an arena is too small. The
figure holds for a 64-bit host: pointers are half as wide on a Cortex-M, so a device needs less.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from semflash import atomic
from semflash.errors import ExportError
from semflash.processes import children

STEP_BYTES = 16  # TFLite-Micro aligns the arena to 16 bytes
MAX_BYTES = 256 << 20
_TIMEOUT_S = 120


def measure_arena(model: bytes) -> int:
    """Smallest arena in bytes (multiple of 16) with which TFLite-Micro's interpreter runs the model once.

    Raises:
        ExportError: it runs with none up to 256 MiB (an operator TFLite-Micro lacks).
    """
    with atomic.scratch(Path(tempfile.gettempdir()), "semflash-arena-") as folder:
        path = folder / "model.tflite"
        path.write_bytes(model)
        command = [sys.executable, "-P", "-m", "semflash.runtime.tflm_arena", str(path)]
        try:
            done = children.run(command, timeout_s=_TIMEOUT_S, stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                "measuring TFLite-Micro's arena took too long",
                value=f"more than {_TIMEOUT_S} s",
                remedy="use a smaller encoder",
            ) from error
    if done.returncode != 0 or not done.stdout.strip().isdigit():
        raise ExportError(
            "TFLite-Micro does not run the device graph",
            value=done.stderr.strip()[-300:],
            remedy="keep to operators that TFLite-Micro has in int8",
        )
    return int(done.stdout)


def _smallest(model: bytes) -> int:
    enough = 4096
    while not _runs(model, enough):
        enough *= 2
        if enough > MAX_BYTES:
            raise SystemExit(1)
    too_small = 0 if enough == 4096 else enough // 2
    while enough - too_small > STEP_BYTES:
        middle = (too_small + enough) // 2 // STEP_BYTES * STEP_BYTES
        if _runs(model, middle):
            enough = middle
        else:
            too_small = middle
    return enough


def _runs(model: bytes, size_bytes: int) -> bool:
    """Whether the interpreter starts with this arena, tried in a child process.

    TFLite-Micro reports all failures as RuntimeError, but with some arenas that are too small it crashes.
    """
    from tflite_micro import runtime

    child = os.fork()
    if child == 0:
        code = 1
        try:
            runtime.Interpreter.from_bytes(model, arena_size=size_bytes).invoke()
            code = 0
        except RuntimeError:
            code = 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


if __name__ == "__main__":
    print(_smallest(Path(sys.argv[1]).read_bytes()))
