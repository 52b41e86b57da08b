"""Names of teachers as they are given on the command line; importing this is cheap."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from semflash.errors import UsageError

#: Networks of an ensemble where no number is given.
NETWORKS = 3
NETWORKS_MAX = 32
_REMEDY = "lite0, ensemble:M, onnx:FILE or keras:FILE"


@dataclass(frozen=True)
class Named:
    """A teacher's name in parts: ``lite0``, ``ensemble``, ``onnx`` or ``keras``; number of networks; file."""

    kind: str
    networks: int = 0
    file: Path = field(default_factory=Path)


def parsed(name: str) -> Named:
    """Read a name.

    Raises:
        UsageError: there is no such teacher, or no such file.

    >>> parsed("ensemble:5")
    Named(kind='ensemble', networks=5, file=PosixPath('.'))
    """
    kind, separator, rest = name.partition(":")
    if name == "lite0":
        return Named("lite0")
    if kind == "ensemble":
        if separator and not (rest.isdecimal() and 2 <= int(rest) <= NETWORKS_MAX):
            raise UsageError(
                f"an ensemble has 2 to {NETWORKS_MAX} networks", value=name, remedy="--teacher ensemble:3"
            )
        return Named("ensemble", networks=int(rest or NETWORKS))
    if kind in ("onnx", "keras") and rest:
        path = Path(rest)
        suffixes = (".onnx",) if kind == "onnx" else (".keras", ".h5")
        if not path.is_file() or path.suffix not in suffixes:
            raise UsageError(
                f"{kind}: names a file that ends in {' or '.join(suffixes)}",
                value=rest,
                remedy="check the path" if not path.is_file() else f"--teacher with {_REMEDY}",
            )
        return Named(kind, file=path)
    raise UsageError("no such teacher", value=name[:200], remedy=f"--teacher with {_REMEDY}")
