"""What a check says of a board: one word a machine can sort by, a text and a remedy for people."""

from __future__ import annotations

from semflash.errors import (
    BuildError,
    LinkError,
    ModelError,
    SemflashError,
    ToolMissingError,
    WrongFirmwareError,
)
from semflash.firmware.probes.verdicts import Verdict
from semflash.link.errors import GarbageError, PortVanishedError, SilenceError, StalledError

#: Verdicts of the checks themselves; those of flashing and finding come with their errors.
OUTPUT_MISMATCH = str(Verdict.OUTPUT_MISMATCH)
IMAGES_LOST = "images-lost"
CONTROL_UNHEEDED = "control-unheeded"
FAULT_NOT_SURVIVED = "fault-not-survived"
LINK_UNSTEADY = "link-unsteady"
TOO_SLOW = "too-slow"
OVER_BUDGET = "over-budget"
NO_BUDGET = "no-budget"

#: The first class that fits gives the verdict of an error that brings none of its own.
_BY_CLASS: tuple[tuple[type[SemflashError], str], ...] = (
    (WrongFirmwareError, "wrong-firmware"),
    (SilenceError, "no-hello"),
    (GarbageError, "no-hello"),
    (StalledError, "link-timeout"),
    (PortVanishedError, "link-timeout"),
    (LinkError, "link-timeout"),
    (ToolMissingError, "tool-missing"),
    (BuildError, "build-failed"),
    (ModelError, "build-failed"),
)


class CheckFailed(SemflashError):
    """A check found something wrong with a board that otherwise works.

    Args:
        verdict: One of the constants above.
        exit_code: 1 what the firmware computes or costs, 3 the link.
    """

    kind = "hil"

    def __init__(
        self, verdict: str, what: str, *, value: object = None, remedy: str = "", exit_code: int = 1
    ) -> None:
        super().__init__(what, value=value, remedy=remedy)
        self.verdict = verdict
        self.exit_code = exit_code


def verdict_of(error: SemflashError) -> str:
    """The one word of an error: its own verdict, that of its class, or its kind.

    >>> verdict_of(SilenceError("the device is silent"))
    'no-hello'
    """
    own = getattr(error, "verdict", None)
    if own:
        return str(own)
    return next((word for kind, word in _BY_CLASS if isinstance(error, kind)), error.kind)
