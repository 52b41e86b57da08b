"""Codec families by name. A new family adds one line here (docs/codecs.md)."""

from __future__ import annotations

from typing import Any

from semflash.codecs.base import Codec
from semflash.errors import UsageError


def families() -> tuple[str, ...]:
    """Names of the families that can be built."""
    return ("semanticnn",)


def create(family: str, sizes: dict[str, Any]) -> Codec:
    """Build an untrained codec of a family from its sizes (the fields of the family's sizes dataclass).

    Raises:
        UsageError: unknown family, or sizes that the family does not take.
    """
    if family not in families():
        raise UsageError("no such codec family", value=family, remedy=f"use one of {', '.join(families())}")
    from semflash.codecs.semanticnn import SemanticNN, SemanticNNSizes

    try:
        parsed = SemanticNNSizes.from_dict(sizes)
    except TypeError as error:
        raise UsageError(f"sizes do not fit {family}: {error}", value=sorted(sizes)) from error
    return SemanticNN(parsed)
