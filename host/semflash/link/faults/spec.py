"""What goes wrong on a line, as text: the SPEC of ``monitor --fault`` and of the proxy (docs/link.md).

    flip=1e-3,up.drop=1e-4:3,duplicate=0.01,delay=0.01:0.05,split,disconnect=1e-4:2;seed=7;baud=921600

Faults are separated by commas, options follow after semicolons. ``up.`` is from the device to the host,
``down.`` the other way; without either both directions have the fault.

>>> spec = FaultSpec.parse("flip=1e-3,up.drop=1e-4:3;seed=7")
>>> spec.up["drop"], spec.down["flip"].rate, "drop" in spec.down, spec.seed
(Fault(rate=0.0001, amount=3.0), 0.001, False, 7)
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field

from semflash.errors import UsageError

SPEC_MAX = 1000
UP, DOWN = "up", "down"


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        per: what its rate counts: "bit", "byte", "frame" (bytes up to a delimiter) or "piece" (of one write).
        amount: of its argument unless given, None: it takes none; unit: "bytes" or "s". most: largest
            argument.
    """

    per: str
    amount: float | None = None
    unit: str = ""
    most: float = 0.0


KINDS: dict[str, Kind] = {
    "flip": Kind("bit"),
    "burst": Kind("byte", 8, "bytes", 4096),
    "drop": Kind("byte", 1, "bytes", 4096),
    "insert": Kind("byte", 1, "bytes", 4096),
    "lose": Kind("frame"),
    "duplicate": Kind("frame"),
    "delay": Kind("frame", 0.05, "s", 60),
    "stall": Kind("frame", 0.2, "s", 60),
    "disconnect": Kind("frame", 0.5, "s", 600),
    "reset": Kind("frame"),
    "split": Kind("piece"),
    "join": Kind("piece"),
}
#: Kinds that may stand without a rate, and the one they have then.
_BARE = {"split": 0.5, "join": 0.5}


@dataclass(frozen=True)
class Fault:
    """A fault's rate (probability per unit of its kind) and argument."""

    rate: float
    amount: float = 0.0


@dataclass(frozen=True)
class FaultSpec:
    """Faults of both directions, by kind.

    Attributes:
        seed: of all of them. baud: the line takes ten bit times per byte; None: no time.
    """

    up: dict[str, Fault] = field(default_factory=dict)
    down: dict[str, Fault] = field(default_factory=dict)
    seed: int = 0
    baud: int | None = None

    @staticmethod
    def parse(text: str) -> FaultSpec:
        """From a SPEC.

        Raises:
            UsageError: an unknown name, a rate that is none, an argument out of range; it names the part.
        """
        if len(text) > SPEC_MAX:
            raise UsageError(f"a fault SPEC is at most {SPEC_MAX:,} characters", value=f"{len(text):,}")
        listed, *options = text.split(";")
        directions: dict[str, dict[str, Fault]] = {UP: {}, DOWN: {}}
        for part in filter(None, map(str.strip, listed.split(","))):
            names, kind, fault = _fault(part)
            for name in names:
                if kind in directions[name]:
                    raise _wrong("this fault is named twice", part)
                directions[name][kind] = fault
        seed, baud = 0, None
        for option in filter(None, map(str.strip, options)):
            name, _, value = option.partition("=")
            if name == "seed":
                seed = _whole(option, value, 0, 2**53)
            elif name == "baud":
                baud = _whole(option, value, 300, 100_000_000)
            else:
                raise _wrong("unknown option", option, "options are seed=N and baud=N")
        return FaultSpec(directions[UP], directions[DOWN], seed, baud)

    @property
    def disconnects(self) -> bool:
        """Whether the port goes away at times."""
        return "disconnect" in self.up or "disconnect" in self.down

    @property
    def resets(self) -> bool:
        """Whether the board is reset at times."""
        return "reset" in self.up or "reset" in self.down


def _fault(part: str) -> tuple[tuple[str, ...], str, Fault]:
    """(directions, kind, fault) of one part."""
    name, equals, value = part.partition("=")
    direction, dot, kind = name.strip().rpartition(".")
    if dot and direction not in (UP, DOWN):
        raise _wrong("unknown direction", part, "write up. (from the device) or down. (to it)")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        raise _wrong(
            "unknown fault", part, f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}"
        )
    if not equals:
        if kind not in _BARE:
            raise _wrong("this fault needs a rate", part, f"{kind}=0.001, per {KINDS[kind].per}")
        value = str(_BARE[kind])
    rate_text, colon, amount_text = value.partition(":")
    rate = _number(part, rate_text)
    if not 0 <= rate <= 1:
        raise _wrong("a rate is between 0 and 1", part)
    amount = KINDS[kind].amount
    if colon:
        if amount is None:
            raise _wrong("this fault takes no argument", part, f"{kind}={rate_text}")
        amount = _number(part, amount_text)
        if not 0 < amount <= KINDS[kind].most or (KINDS[kind].unit == "bytes" and amount % 1):
            raise _wrong(f"the argument is in {KINDS[kind].unit}, at most {KINDS[kind].most:g}", part)
    return (UP, DOWN) if not dot else (direction,), kind, Fault(rate, amount or 0.0)


def _number(part: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong("not a number", part)
    return value


def _whole(part: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and low <= int(text) <= high):
        raise _wrong(f"a whole number of {low:,} to {high:,} is needed", part)
    return int(text)


def _wrong(what: str, part: str, remedy: str = "docs/link.md lists the faults") -> UsageError:
    return UsageError(f"fault SPEC: {what}", value=part[:80], remedy=remedy)
