"""Looks at a training's figures as they come: one that is still at chance is said at once, not at its end."""

from __future__ import annotations

from collections.abc import Callable

from semflash.outputs.chance import REMEDY, Chance
from semflash.training.progress import COMPARED, Progress

#: Steps after which a network that learns is above guessing.
STEPS_PATIENT = 150


class ChanceWatch:
    """Warns once, after the first validation behind :data:`STEPS_PATIENT` steps that is not above guessing.

    Args:
        what: That is trained, for the message.
        steps: Of an epoch.
    """

    def __init__(self, what: str, chance: Chance, steps: int, progress: Progress) -> None:
        self.what, self.chance, self.steps, self.progress = what, chance, steps, progress
        self.epochs = 0
        self.warned = False
        if chance.guess > 0:
            progress.chance = chance.guess

    def around(self, validate: Callable[[], dict[str, float]]) -> Callable[[], dict[str, float]]:
        """The same validation, looked at."""

        def watched() -> dict[str, float]:
            figures = validate()
            self.look(figures)
            return figures

        return watched

    def look(self, figures: dict[str, float]) -> None:
        """Count an epoch and look at its figures."""
        self.epochs += 1
        reached = next((figures[key] for key in COMPARED if key in figures), None)
        done = self.epochs * self.steps
        if reached is None or self.warned or done < STEPS_PATIENT or self.chance.is_above(reached):
            return
        self.warned = True
        self.progress.warn(
            f"after {done:,} steps the {self.what} is still at chance: {self.chance.words(reached)}. "
            f"Ctrl-C stops; {REMEDY}"
        )
