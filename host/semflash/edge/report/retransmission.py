"""What sending damaged payloads again costs: bytes of an image by bit error rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from semflash.baselines.accuracy import FRAMINGS
from semflash.edge.report.statistics import Series

RETRANSMIT = "retransmit"
TITLE = "Bytes sent with retransmission, by bit error rate"
NOTE = (
    f"Sent again: a damaged payload is sent at most {FRAMINGS[RETRANSMIT].retransmissions} more times, and "
    "these transmissions are not held to the payload's bytes. An image then costs the mean bytes of a "
    "payload times the mean number of transmissions, which stands in brackets; means over the seeds."
)


def resent(found: Iterable[Series]) -> list[Series]:
    """Those that were measured with retransmission."""
    return [one for one in found if RETRANSMIT in one.framings()]


def cells(one: Series, rates: Sequence[float]) -> list[str]:
    """Bytes of an image and, in brackets, transmissions of a payload, means over the seeds, for each rate."""
    texts = []
    for rate in rates:
        times = one.times(rate, RETRANSMIT)
        texts.append("–" if times is None else f"{one.bytes_text([rate], RETRANSMIT)} ({times:.2f})")
    return texts
