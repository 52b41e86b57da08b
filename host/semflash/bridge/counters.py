"""What happened on the link: every loss has a counter, none is silent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from semflash.bridge.frame import Drop

#: A gap before a HELLO larger than this is taken for a restart of the device.
RESTART_GAP = 1000


@dataclass
class LinkCounters:
    """Counts of one session, host side.

    Attributes:
        frames_ok: frames delivered undamaged; frames_damaged: CODES with a wrong payload CRC (used, flagged).
        frames_useless: other frames with a wrong payload CRC.
        dropped: frames without a usable header or length, by reason.
        frames_lost: gaps in the device's sequence numbers; reordered: numbers that went back.
        stale_answers: for requests that are not open (unknown, old, duplicated); never given to an image.
        foreign: frames of another bundle; unexpected: frames no device should send now, or of a wrong size.
        refused: images the device refused, by reason number.
        images_resent, images_lost: sent again; given up.
        resyncs: HELLO exchanges after the first.
    """

    frames_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    frames_ok: int = 0
    frames_damaged: int = 0
    frames_useless: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Drop})
    frames_lost: int = 0
    reordered: int = 0
    stale_answers: int = 0
    foreign: int = 0
    unexpected: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    images_resent: int = 0
    images_lost: int = 0
    resyncs: int = 0

    @property
    def frames_dropped(self) -> int:
        """All dropped frames."""
        return sum(self.dropped.values())

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


class SequenceCheck:
    """Gaps in a sender's u16 frame numbers."""

    def __init__(self, counters: LinkCounters) -> None:
        self._counters = counters
        self._next: int | None = None

    def see(self, sequence: int) -> None:
        """Note the number of a received frame."""
        if self._next is not None:
            gap = (sequence - self._next) & 0xFFFF
            if gap >= 0x8000:
                self._counters.reordered += 1
                return
            self._counters.frames_lost += gap
        self._next = (sequence + 1) & 0xFFFF

    def restart(self, sequence: int) -> None:
        """Note the number of a HELLO: a small gap is a loss, any other a device that started over."""
        gap = 0 if self._next is None else (sequence - self._next) & 0xFFFF
        if gap <= RESTART_GAP:
            self._counters.frames_lost += gap
        self._next = (sequence + 1) & 0xFFFF
