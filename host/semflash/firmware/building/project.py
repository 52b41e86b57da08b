"""Writing build folders: only what changed, never half a file, one process at a time."""

from __future__ import annotations

from pathlib import Path

from semflash import atomic
from semflash.atomic import exclusive

__all__ = ["exclusive", "write_if_changed"]


def write_if_changed(path: Path, content: str | bytes, *, durable: bool = False) -> bool:
    """Write `content` in one step, unless `path` holds it already. True where it wrote.

    Unchanged files keep their time stamps, so a second build compiles nothing.

    Args:
        durable: also survive a loss of power; for what cannot be made again.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, data, durable=durable)
    return True
