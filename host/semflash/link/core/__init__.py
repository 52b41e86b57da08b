"""The link without input and output: bytes and the time in, events and bytes out (``docs/link.md``)."""

from semflash.link.core.events import (
    Connected,
    CoreEvent,
    Failed,
    Finished,
    Lost,
    NoPicture,
    NoStatistics,
    Outcome,
    Pictured,
    Received,
    Statistics,
)
from semflash.link.core.link_core import LinkCore, State

__all__ = [
    "Connected",
    "CoreEvent",
    "Failed",
    "Finished",
    "LinkCore",
    "Lost",
    "NoPicture",
    "NoStatistics",
    "Outcome",
    "Pictured",
    "Received",
    "State",
    "Statistics",
]
