"""The link without input and output: bytes and the time in, events and bytes out (``docs/link.md``)."""

from semflash.link.core.events import (
    Connected,
    CoreEvent,
    Failed,
    Finished,
    Lost,
    NoStatistics,
    Outcome,
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
    "NoStatistics",
    "Outcome",
    "Received",
    "State",
    "Statistics",
]
