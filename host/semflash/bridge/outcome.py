"""What becomes of an image that was sent to a device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Received:
    """The codes of one image.

    Attributes:
        index: the caller's number of the image; request: of the link; attempt: 1 for the first sending.
        payload: packed codes as received; damaged: its CRC was wrong.
        ticks, stack_bytes: the device's IMAGE_STATS; None where that frame was lost.
        seconds: from the first row sent to the codes received.
    """

    index: int
    request: int
    attempt: int
    payload: bytes
    damaged: bool
    seconds: float
    ticks: int | None = None
    stack_bytes: int | None = None


@dataclass(frozen=True)
class Lost:
    """An image that was given up after `attempts` sendings."""

    index: int
    attempts: int


Outcome = Received | Lost
