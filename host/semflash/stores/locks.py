"""One process makes a store at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from semflash.stores.kind import StoreKind

LOCK = "lock"


@contextlib.contextmanager
def locked(folder: Path, kind: StoreKind) -> Iterator[None]:
    """Be the only process that makes the store in `folder`, which is made where it is not there.

    Raises:
        The kind's error: another process is at it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise kind.error(
            f"cannot make the {kind.name}: {error.strerror}",
            value=folder,
            remedy="--out with a folder that can be written, or make room",
        ) from error
    with contextlib.ExitStack() as ends:
        ends.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise kind.error(
                f"another process is making this {kind.name}",
                value=folder,
                remedy="wait for it, or stop it and give the command again",
            ) from error
        yield
