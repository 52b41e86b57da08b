"""A channel whose rate changes with every image: so many bytes for each, then from the beginning again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflash.errors import UsageError
from semflash.program.controls import Control

#: Images of one wave of a fading trace: from the good channel to the bad one and back.
WAVE = 100
RATES_MAX = 1_000_000
FILE_MAX_BYTES = 8 << 20
FORMS = "FILE, steady:BYTES, fading:LOW-HIGH or alternating:BYTES,BYTES"
_FILE_FORM = "a whole number of bytes for each image, or CSV with a column named bytes or rate"
_COLUMNS = ("bytes", "rate")


@dataclass(frozen=True)
class RateTrace:
    """Bytes by image.

    Attributes:
        rates: One or more; behind the last one it begins again.
        name: As it was asked for.

    >>> trace = RateTrace((64, 16), "alternating:64,16")
    >>> [trace.at(number) for number in range(4)]
    [64, 16, 64, 16]
    """

    rates: tuple[int, ...]
    name: str

    def at(self, number: int) -> int:
        """The rate of the image of a number, from 0."""
        return self.rates[number % len(self.rates)]

    def first(self, count: int) -> NDArray[np.int64]:
        """The rates of the first images, int64 (count,)."""
        return np.resize(np.array(self.rates, np.int64), count)


def parse_rate_trace(text: str, control: Control) -> RateTrace:
    """The trace that a flag or a setting means.

    ``steady:64`` is one rate. ``fading:16-1024`` is a slow wave from the high rate to the low one and back in
    100 images, even in powers of two. ``alternating:16,256`` is every image the next of these. Everything
    else is the name of a file.

    Args:
        control: Whose range all rates must be in.

    Raises:
        UsageError: It is none of these, the file cannot be read, or a rate is out of the range.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "steady":
        rates = _numbers(text, rest, "\0")
    elif colon and kind == "alternating":
        rates = _numbers(text, rest, ",")
    elif colon and kind == "fading":
        rates = _numbers(text, rest, "-")
        if len(rates) != 2 or not 0 < rates[0] <= rates[1]:
            raise UsageError("a fading rate is LOW-HIGH", value=text, remedy="--rate-trace fading:16-256")
        _check(rates, control, text)
        rates = _wave(*rates)
    else:
        rates = _read(Path(text))
    _check(rates, control, text)
    return RateTrace(tuple(rates), text)


def _numbers(text: str, rest: str, separator: str) -> list[int]:
    parts = rest.split(separator)
    if not all(part.strip().isdecimal() and len(part) < 12 for part in parts):
        raise UsageError("not a trace of rates", value=text[:80], remedy=f"--rate-trace {FORMS}")
    return [int(part) for part in parts]


def _wave(low: int, high: int) -> list[int]:
    """One period, from the high end."""
    places = [0.5 + 0.5 * math.cos(2 * math.pi * number / WAVE) for number in range(WAVE)]
    return [round(low * (high / low) ** place) for place in places]


def _check(rates: list[int], control: Control, text: str) -> None:
    for number, rate in enumerate(rates):
        if not control.low <= rate <= control.high:
            raise UsageError(
                f"control {control.name} takes {control.low} to {control.high} bytes",
                value=f"{text[:80]}: image {number}, {rate}",
                remedy="bring the trace of rates into the range",
            )


def _read(path: Path) -> list[int]:
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise UsageError("the trace of rates is larger than 8 MiB", value=path, remedy=_FILE_FORM)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the trace of rates: {error}", value=path, remedy=f"--rate-trace {FORMS}"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            rows.append((number, [cell.strip(' \t"') for cell in text.split(",")]))
    rates = _cells(path, rows)
    if not 1 <= len(rates) <= RATES_MAX:
        raise UsageError(
            f"a trace has 1 to {RATES_MAX:,} rates", value=f"{path}: {len(rates)}", remedy=_FILE_FORM
        )
    return rates


def _cells(path: Path, rows: list[tuple[int, list[str]]]) -> list[int]:
    """The rates in rows of a file: those of the named column, or all cells where no row names columns."""
    names = [cell.lower() for cell in rows[0][1]] if rows else []
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    found = []
    for number, row in rows[column is not None :]:
        cells = (
            [cell for part in row for cell in part.split()] if column is None else row[column : column + 1]
        )
        if not cells or not all(cell.isdecimal() and len(cell) < 12 for cell in cells):
            where = f"{path.name}, line {number}: {','.join(row)[:60]!r}"
            raise UsageError("not a rate in whole bytes", value=where, remedy=_FILE_FORM)
        found += [int(cell) for cell in cells]
    return found
