"""Codec families by name.

Every folder of this package that holds families registers them when it is imported: its ``__init__`` calls
:func:`register` for each. The registry imports all folders beside it when a family is first asked for, and
names none of them. A family outside the package calls :func:`register` itself (docs/codecs.md).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from semflash import codecs
from semflash.errors import UsageError

if TYPE_CHECKING:
    from semflash.codecs.base import Codec
    from semflash.codecs.own_training import OwnTraining
    from semflash.codecs.sizes import CodecSizes


@dataclass(frozen=True)
class Family:
    """The classes of a family.

    Attributes:
        codec: Makes an untrained codec from its sizes.
        sizes: The dataclass of its sizes.
        training: How it trains without a task network; None: it is trained on top of one.
    """

    codec: Callable[[Any], Codec]
    sizes: type[CodecSizes]
    training: type[OwnTraining] | None = None


_LOADERS: dict[str, Callable[[], Family]] = {}
_ALONE: set[str] = set()


def register(name: str, load: Callable[[], Family], *, alone: bool = False) -> None:
    """Make a family known by its name.

    Args:
        name: Lower case; it stands in recipes, runs and bundles.
        load: Gives the classes. It is called when the family is first built, so that whoever only lists the
            names does not import Keras.
        alone: The family trains without a task network (its `Family.training`); known without Keras.

    Raises:
        UsageError: Another family has the name.
    """
    if name in _LOADERS:
        raise UsageError("a codec family has this name already", value=name, remedy="choose another")
    _LOADERS[name] = load
    if alone:
        _ALONE.add(name)


def families() -> tuple[str, ...]:
    """Names of the families that can be built, in alphabetical order."""
    _import_folders()
    return tuple(sorted(_LOADERS))


def trains_alone(name: str) -> bool:
    """Whether a family trains without a task network, found without Keras.

    Raises:
        UsageError: There is no such family.
    """
    _check_known(name)
    return name in _ALONE


def family_of(name: str) -> Family:
    """The classes of a family.

    Raises:
        UsageError: There is no such family, or it was registered as one of the other way to train.
    """
    _check_known(name)
    family = _LOADERS[name]()
    if (family.training is not None) != (name in _ALONE):
        raise UsageError(
            "register() and Family do not agree on whether this family trains without a task network",
            value=name,
            remedy="give register() alone=True exactly where Family has a training",
        )
    return family


def _check_known(name: str) -> None:
    known = families()
    if name not in known:
        raise UsageError("no such codec family", value=name, remedy=f"use one of {', '.join(known)}")


def sizes_of(family: str, sizes: dict[str, Any]) -> Any:
    """The sizes of a family from the fields of its dataclass.

    Raises:
        UsageError: There is no such family, or it does not take these sizes.
    """
    try:
        return family_of(family).sizes.from_dict(sizes)
    except TypeError as error:
        raise UsageError(f"sizes do not fit {family}: {error}", value=sorted(sizes)) from error


def create(family: str, sizes: dict[str, Any]) -> Codec:
    """Build an untrained codec of a family from the fields of its dataclass of sizes.

    Raises:
        UsageError: There is no such family, or it does not take these sizes.
    """
    parsed = sizes_of(family, sizes)
    return family_of(family).codec(parsed)


@functools.cache
def _import_folders() -> None:
    """Import every folder beside this file, once; those that hold families register them."""
    for found in pkgutil.iter_modules(codecs.__path__, f"{codecs.__name__}."):
        if found.ispkg:
            importlib.import_module(found.name)
