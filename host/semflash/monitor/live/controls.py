"""What a person asks of a run while it goes on, key by key."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.program.quality import Ber, Quality

_DAMAGE = ("+ -", "more, less injected damage")
#: Where the rate can be set.
_RATE = (("+ -", "more, fewer bytes for the next images"), ("> <", "more, less injected damage"))
_KEYS = (
    ("0", "no injected damage"),
    ("p space", "pause, go on"),
    ("s", "one image, then pause"),
    ("q", "quit with the summary"),
    ("?", "this help"),
)


def keys(*, rate: bool) -> tuple[tuple[str, str], ...]:
    """The keys and what they do; rate: whether the rate can be set."""
    return (*(_RATE if rate else (_DAMAGE,)), *_KEYS)


@dataclass
class Controls:
    """The wishes so far.

    Attributes:
        levels: what > and < step through, and + and - where there are no rates, from no damage to the worst
            (:attr:`Quality.steps`).
        rates: what + and - step through, in bytes, rising; rate: of the next images; None: nobody sets it.
        level: damage to inject. paused: no new outcomes; steps: outcomes to take nevertheless.
        quit: end the run. help: show the keys.
    """

    levels: tuple[float, ...] = Ber.steps
    level: float = Ber.clean
    rates: tuple[int, ...] = ()
    rate: int | None = None
    paused: bool = False
    steps: int = 0
    quit: bool = False
    help: bool = False

    @classmethod
    def of(
        cls, quality: Quality, level: float, rates: tuple[int, ...] = (), rate: int | None = None
    ) -> Controls:
        """Those of a run that injects a level, and tells images a rate."""
        return cls(quality.steps, level, rates if rate is not None else (), rate)

    def press(self, key: str) -> None:
        """One key; unknown ones do nothing.

        >>> controls = Controls(level=0.003)
        >>> controls.press("+")
        >>> controls.level
        0.005
        """
        if self.rate is not None and key in "+=":
            self.rate = next((one for one in self.rates if one > (self.rate or 0)), self.rate)
        elif self.rate is not None and key in "-_":
            self.rate = next((one for one in self.rates[::-1] if one < (self.rate or 0)), self.rate)
        elif key in "+=>.":
            self.level = self._next(self.levels)
        elif key in "-_<,":
            self.level = self._next(self.levels[::-1])
        elif key == "0":
            self.level = self.levels[0]
        elif key in "p ":
            self.paused, self.steps = not self.paused, 0
        elif key == "s":
            self.steps = self.steps + 1 if self.paused else 0
            self.paused = True
        elif key in "qQ":
            self.quit = True
        elif key in "?h":
            self.help = not self.help

    def _next(self, levels: tuple[float, ...]) -> float:
        """The first level of a rising or falling row beyond the one of now; its last where there is none."""
        rising = 1.0 if levels[-1] > levels[0] else -1.0
        slack = 1e-3 * abs(self.level)
        return next((one for one in levels if rising * (one - self.level) > slack), levels[-1])

    def may_go_on(self) -> bool:
        """Whether the next outcome may be taken; uses up one step while paused."""
        if not self.paused:
            return True
        if self.steps > 0:
            self.steps -= 1
            return True
        return False
