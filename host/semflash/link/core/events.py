"""What comes out of a link core beside bytes to send: outcomes of images, and answers to its questions."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.errors import LinkError
from semflash.link.messages import Hello, LinkStats
from semflash.link.outcome import Lost, Outcome, Received


@dataclass(frozen=True)
class Connected:
    """The device answered HELLO and is the expected one: at the beginning, and after every new start."""

    hello: Hello


@dataclass(frozen=True)
class Finished:
    """Every image that was offered has its outcome, and no more will come; the core is at rest."""


@dataclass(frozen=True)
class Failed:
    """HELLO or the images failed; the core is at rest. Images under way go out at the next start."""

    error: LinkError


@dataclass(frozen=True)
class Statistics:
    """The device's own counts, to the question of :meth:`LinkCore.ask_link_stats`."""

    stats: LinkStats


@dataclass(frozen=True)
class NoStatistics:
    """The device did not tell its counts in time; the images are not concerned."""

    error: LinkError


@dataclass(frozen=True)
class Pictured:
    """A picture of the board's own source, to :meth:`LinkCore.ask_picture`: int8 pixels, row by row."""

    pixels: bytes


@dataclass(frozen=True)
class NoPicture:
    """The board's own source gave none, or it did not come whole."""

    error: LinkError


CoreEvent = Connected | Received | Lost | Finished | Failed | Statistics | NoStatistics | Pictured | NoPicture

__all__ = [
    "Connected",
    "CoreEvent",
    "Failed",
    "Finished",
    "Lost",
    "NoPicture",
    "NoStatistics",
    "Outcome",
    "Pictured",
    "Received",
    "Statistics",
]
