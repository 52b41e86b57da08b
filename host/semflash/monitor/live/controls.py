"""What a person asks of a run while it goes on, key by key."""

from __future__ import annotations

from dataclasses import dataclass

#: Rates that + and - step through.
BER_STEPS = (
    0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
)  # fmt: skip

KEYS = (
    ("+ -", "more, fewer injected bit errors"),
    ("0", "no injected bit errors"),
    ("p space", "pause, go on"),
    ("s", "one image, then pause"),
    ("q", "quit with the summary"),
    ("?", "this help"),
)


@dataclass
class Controls:
    """The wishes so far.

    Attributes:
        ber: bit errors to inject, 0..0.5. paused: no new outcomes; steps: outcomes to take nevertheless.
        quit: end the run. help: show the keys.
    """

    ber: float = 0.0
    paused: bool = False
    steps: int = 0
    quit: bool = False
    help: bool = False

    def press(self, key: str) -> None:
        """One key; unknown ones do nothing.

        >>> controls = Controls(ber=0.003)
        >>> controls.press("+")
        >>> controls.ber
        0.005
        """
        if key in "+=":
            self.ber = next((step for step in BER_STEPS if step > self.ber * 1.001), BER_STEPS[-1])
        elif key in "-_":
            self.ber = next((step for step in reversed(BER_STEPS) if step < self.ber * 0.999), 0.0)
        elif key == "0":
            self.ber = 0.0
        elif key in "p ":
            self.paused, self.steps = not self.paused, 0
        elif key == "s":
            self.steps = self.steps + 1 if self.paused else 0
            self.paused = True
        elif key in "qQ":
            self.quit = True
        elif key in "?h":
            self.help = not self.help

    def may_go_on(self) -> bool:
        """Whether the next outcome may be taken; uses up one step while paused."""
        if not self.paused:
            return True
        if self.steps > 0:
            self.steps -= 1
            return True
        return False
