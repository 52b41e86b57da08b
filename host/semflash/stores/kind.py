"""Which kind of store a file belongs to: the words and the error of its messages."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.errors import SemflashError


@dataclass(frozen=True)
class StoreKind:
    """A kind of store.

    Attributes:
        name: in messages, such as ``teacher store``.
        error: what is raised.
        remake: what to do about a damaged one.
    """

    name: str
    error: type[SemflashError]
    remake: str
