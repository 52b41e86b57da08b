"""Keeping progress lines of native libraries (TensorFlow, LiteRT, TFLite-Micro) off the user's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def hidden_native_messages() -> Iterator[None]:
    """Hold back what native code writes to file descriptor 2; it is shown after all if the block raises.

    Process-wide while it lasts: keep the block short and in the main thread. Python's own sys.stderr goes
    through the same descriptor.
    """
    try:
        saved = os.dup(_STDERR)
    except OSError:  # no stderr at all: nothing to hide
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), _STDERR)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, _STDERR)
            os.close(saved)
            if failed:
                held.seek(0)
                os.write(_STDERR, held.read(65_536))
