"""The guards of the device's public functions, each with one wrong argument, under sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from c.conftest import HERE, INCLUDES, POSIX, runtime_sources
from semflash.firmware.emulator.native_compiler import compile_native


@pytest.mark.parametrize("source", ["misuse.c", "misuse_patches.c", "misuse_tokens.c"])
def test_every_wrong_argument_is_answered_by_the_documented_status(source: str, tmp_path: Path) -> None:
    program = compile_native(
        [*runtime_sources(), HERE / source],
        INCLUDES,
        tmp_path / "misuse",
        defines=POSIX,
        sanitize=True,
        executable=True,
    )
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "0 not as documented\n"), done.stdout + done.stderr
