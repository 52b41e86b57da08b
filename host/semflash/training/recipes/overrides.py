"""Overriding fields of a recipe from the command line, type-checked."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from semflash.errors import UsageError

T = TypeVar("T")


def override(recipe: T, values: Mapping[str, Any], texts: Sequence[str]) -> T:
    """A recipe with some fields replaced.

    Args:
        recipe: a frozen dataclass; nested dataclasses and dictionaries are reached as ``outer.inner``.
        values: field -> value.
        texts: ``KEY=VALUE`` with a JSON value (a bare word is a string).

    Raises:
        UsageError: no such field (names the nearest), no ``=``, or a value of the wrong type.
    """
    plain = dataclasses.asdict(recipe)  # type: ignore[call-overload]
    for key, value in values.items():
        _put(plain, recipe, key, value)
    for text in texts:
        key, separator, value_text = text.partition("=")
        if not separator:
            raise UsageError("--set takes KEY=VALUE", value=text)
        try:
            value = json.loads(value_text)
        except json.JSONDecodeError:
            value = value_text
        _put(plain, recipe, key, value)
    try:
        changed: T = msgspec.convert(plain, type(recipe))
    except msgspec.ValidationError as error:
        raise UsageError(f"a field of the recipe has the wrong type: {error}", value=list(texts)) from error
    return changed


def _put(plain: dict[str, Any], recipe: Any, key: str, value: Any) -> None:
    """Set ``a.b`` in ``plain``, the dictionary of ``recipe``.

    Dictionaries such as ``sizes`` take new keys (their user checks them); fields of a dataclass must exist.
    """
    *outer, last = key.split(".")
    target, owner = plain, recipe
    for name in outer:
        _check_known(target, name, key)
        target = target[name]
        owner = owner[name] if isinstance(owner, dict) else getattr(owner, name)
        if not isinstance(target, dict):
            raise UsageError("not a group of fields", value=key)
    if not isinstance(owner, dict):
        _check_known(target, last, key)
    target[last] = value


def _check_known(fields: dict[str, Any], name: str, key: str) -> None:
    if name in fields:
        return
    near = difflib.get_close_matches(name, fields, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"fields: {', '.join(fields)}"
    raise UsageError("the recipe has no such field", value=key, remedy=remedy)
