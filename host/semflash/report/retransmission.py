"""What sending damaged payloads again costs: bytes of an image."""

from __future__ import annotations

from collections.abc import Iterable

from semflash.baselines.accuracy import FRAMINGS
from semflash.report.statistics import Condition, Series

RETRANSMIT = "retransmit"
TITLE = "Bytes sent with retransmission"
NOTE = (
    f"Sent again: a damaged payload is sent at most {FRAMINGS[RETRANSMIT].retransmissions} more times, and "
    "these transmissions are not held to the payload's bytes. An image then costs the mean bytes of a "
    "payload times the mean number of transmissions, which stands in brackets (a little low where "
    "payloads differ in length, because long ones are damaged more often); means over the seeds."
)


def resent(found: Iterable[Series]) -> list[Series]:
    """Those that were measured with retransmission."""
    return [one for one in found if RETRANSMIT in one.framings()]


def cells(one: Series, conditions: Iterable[Condition]) -> list[str]:
    """Bytes of an image and, in brackets, transmissions of a payload (means over the seeds) by condition."""
    return [
        f"{one.bytes_text([key])} ({one.transmissions[key]:.2f})" if key in one.transmissions else "–"
        for key in conditions
    ]
