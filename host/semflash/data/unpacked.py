"""What was in a packed file, kept in the user's cache folder so that it is unpacked once.

A file is called by the SHA-256 of what it was unpacked from, so that another version is another file, and
ends with the SHA-256 of its own content, so that a damaged one is found and unpacked again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from semflash import atomic
from semflash.data.cache import cache_dir

_DIGEST_BYTES = 32
_SIZE_MAX = 1 << 31
#: Smaller content is unpacked faster than it is looked for.
WORTH_BYTES = 1 << 20


def path_of(packed: bytes) -> Path:
    """Where the content of a packed file is kept."""
    return cache_dir() / f"unpacked-{hashlib.sha256(packed).hexdigest()}"


def read(path: Path) -> bytes | None:
    """The content, None where there is none or it is damaged."""
    try:
        if not _DIGEST_BYTES < path.stat().st_size <= _SIZE_MAX + _DIGEST_BYTES:
            return None
        kept = path.read_bytes()
    except OSError:
        return None
    content, digest = kept[:-_DIGEST_BYTES], kept[-_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def keep(path: Path, *parts: bytes) -> bool:
    """Keep the content, given in parts; False where it is small, or the folder cannot be written.

    Neither is an error: it is unpacked again the next time.
    """
    content = b"".join(parts)
    if len(content) < WORTH_BYTES:
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, content + hashlib.sha256(content).digest(), durable=False)
    except OSError:
        return False
    return True
