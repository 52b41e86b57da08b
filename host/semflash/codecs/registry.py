"""Codec families by name. A new family adds one line to the table (docs/codecs.md)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from semflash.codecs.base import Codec
from semflash.errors import UsageError


@dataclass(frozen=True)
class Family:
    """Where a family stands; its module is imported when it is first built.

    Attributes:
        module: of the package ``semflash.codecs``.
        codec, sizes: names of its two classes.
    """

    module: str
    codec: str
    sizes: str


FAMILIES = {
    "semanticnn": Family("semanticnn", "SemanticNN", "SemanticNNSizes"),
    "semanticnn-released": Family("semanticnn_released", "SemanticNNReleased", "SemanticNNReleasedSizes"),
    "deepcod": Family("deepcod", "DeepCOD", "DeepCODSizes"),
    "bottlenetpp": Family("bottlenetpp", "BottleNetPP", "BottleNetPPSizes"),
    "adjscc": Family("adjscc", "ADJSCC", "BitCodecSizes"),
    "agilenn": Family("agilenn", "AgileNN", "AgileNNSizes"),
    "limitnet": Family("limitnet", "LimitNet", "LimitNetSizes"),
}


def families() -> tuple[str, ...]:
    """Names of the families that can be built."""
    return tuple(FAMILIES)


def sizes_of(family: str, sizes: dict[str, Any]) -> Any:
    """The sizes dataclass of a family from its fields.

    Raises:
        UsageError: unknown family, or sizes that the family does not take.
    """
    entry = _entry(family)
    try:
        return getattr(_module(entry), entry.sizes).from_dict(sizes)
    except TypeError as error:
        raise UsageError(f"sizes do not fit {family}: {error}", value=sorted(sizes)) from error


def create(family: str, sizes: dict[str, Any]) -> Codec:
    """Build an untrained codec of a family from its sizes (the fields of the family's sizes dataclass).

    Raises:
        UsageError: unknown family, or sizes that the family does not take.
    """
    parsed, entry = sizes_of(family, sizes), _entry(family)
    codec: Codec = getattr(_module(entry), entry.codec)(parsed)
    return codec


def _entry(family: str) -> Family:
    if family not in FAMILIES:
        raise UsageError("no such codec family", value=family, remedy=f"use one of {', '.join(FAMILIES)}")
    return FAMILIES[family]


def _module(entry: Family) -> Any:
    return importlib.import_module(f"semflash.codecs.{entry.module}")
