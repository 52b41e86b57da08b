"""What a person asks of a run while it goes on, key by key."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.program.quality import Ber, Quality

KEYS = (
    ("+ -", "more, less injected damage"),
    ("0", "no injected damage"),
    ("p space", "pause, go on"),
    ("s", "one image, then pause"),
    ("q", "quit with the summary"),
    ("?", "this help"),
)


@dataclass
class Controls:
    """The wishes so far.

    Attributes:
        levels: what + and - step through, from no damage to the worst (:attr:`Quality.steps`).
        level: damage to inject. paused: no new outcomes; steps: outcomes to take nevertheless.
        quit: end the run. help: show the keys.
    """

    levels: tuple[float, ...] = Ber.steps
    level: float = Ber.clean
    paused: bool = False
    steps: int = 0
    quit: bool = False
    help: bool = False

    @classmethod
    def of(cls, quality: Quality, level: float) -> Controls:
        """Those of a run that injects a level."""
        return cls(quality.steps, level)

    def press(self, key: str) -> None:
        """One key; unknown ones do nothing.

        >>> controls = Controls(level=0.003)
        >>> controls.press("+")
        >>> controls.level
        0.005
        """
        if key in "+=":
            self.level = self._next(self.levels)
        elif key in "-_":
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
