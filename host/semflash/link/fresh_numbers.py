"""Random numbers of a session: those of another run never meet by chance."""

from __future__ import annotations

import secrets

U32_MAX = 0xFFFF_FFFF


def fresh_number() -> int:
    """A random u32 that is not 0, for a session or for its first request."""
    return 1 + secrets.randbelow(U32_MAX)
