"""All controls of a run: those that somebody fixed, and those that follow the channel."""

from __future__ import annotations

from collections.abc import Mapping

from semflash.edge.following import Following, followed, levels_of
from semflash.program.controls import Control
from semflash.program.program import Program

AUTO = "auto"


class Adaptation:
    """What a device is to be told while images run.

    Args:
        program: Its controls, and the kind of the channel's quality.
        fixed: Values that stay, by name.
        error: Added to the values that follow (an experiment with wrong ones).

    Attributes:
        following: The controls that follow, by name.
    """

    def __init__(self, program: Program, fixed: Mapping[str, int], error: int = 0) -> None:
        self._program, self._fixed, self.error = program, dict(fixed), error
        self.following = {
            control.name: Following(control, program.quality, error=error)
            for control in followed(program.controls)
            if control.name not in fixed
        }

    @property
    def controls(self) -> tuple[Control, ...]:
        """Those that are set here or follow the channel, in the program's order."""
        mine = self.said()
        return tuple(one for one in self._program.controls if one.name in mine or levels_of(one))

    @property
    def settings(self) -> dict[str, int]:
        """What is to be set now."""
        return self._fixed | {name: one.value for name, one in self.following.items()}

    def hear(self, estimate: float | None) -> dict[str, int]:
        """An image came; what is to be set anew, after this estimate of the channel's quality."""
        found = {name: one.hear(estimate) for name, one in self.following.items()}
        return {name: value for name, value in found.items() if value is not None}

    def said(self) -> dict[str, int | str]:
        """How each control of the program is set: its value, or ``auto``; without those at their defaults."""
        return self._fixed | dict.fromkeys(self.following, AUTO)

    def as_dict(self, used: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, object]]:
        """Plain values for JSON, by control.

        Args:
            used: How many images a device encoded with each value, by control.
        """
        found: dict[str, dict[str, object]] = {}
        for control in self._program.controls:
            name = control.name
            said: dict[str, object] = {"set": self.said().get(name, "default")}
            if name in self.following:
                said |= {"value": self.following[name].value, "changes": self.following[name].changes}
            counts = {str(value): count for value, count in sorted(used.get(name, {}).items())}
            found[name] = said | {"used": counts}
        return found
