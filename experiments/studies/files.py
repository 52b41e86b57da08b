"""Files of results: JSON, a row or a figure a line, so that a difference of two files can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from semflash import atomic
from semflash.errors import UsageError

RESULT_MAX_BYTES = 4 << 20


class Stored(Protocol):
    """What every result says of itself: the job that made it, everything that decided it, and its kind of
    file."""

    @property
    def job(self) -> str:
        """Its name, and that of the file."""

    @property
    def settings(self) -> dict[str, Any]:
        """Plain JSON."""

    @property
    def format(self) -> str:
        """Of the series of experiments."""

    @property
    def version(self) -> int:
        """Of the format."""


Kind = TypeVar("Kind", bound=Stored)


def write(folder: Path, result: Stored) -> None:
    """Write a result in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / f"{result.job}.json", text_of(result))


def text_of(result: Stored) -> str:
    """As JSON; `result` is a msgspec structure."""
    plain: dict[str, Any] = msgspec.to_builtins(result, order="deterministic")
    return "{\n" + ",\n".join(f" {_line(key)}: {_block(value)}" for key, value in plain.items()) + "\n}\n"


def _block(value: Any) -> str:
    """Members of the outermost list or object on lines of their own."""
    if isinstance(value, dict) and value:
        members = [f"  {_line(key)}: {_line(each)}" for key, each in value.items()]
        return "{\n" + ",\n".join(members) + "\n }"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_line(each)}" for each in value) + "\n ]"
    return _line(value)


def _line(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def read(path: Path, kind: type[Kind], form: str, version: int) -> Kind:
    """Read one result.

    Args:
        kind: The structure that a file of this format holds.
        form, version: What the file must say of itself.

    Raises:
        UsageError: Unreadable, too large, or not a result of these experiments.
    """
    try:
        if path.stat().st_size > RESULT_MAX_BYTES:
            raise UsageError("larger than any result", value=path)
        result = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"cannot read a result: {error}", value=path, remedy="remove the file and do its job again"
        ) from error
    if (result.format, result.version) != (form, version) or result.job != path.stem:
        raise UsageError(
            f"not the result of job {path.stem}", value=f"{result.format} {result.version} {result.job}"
        )
    return result
