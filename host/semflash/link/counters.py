"""What happened on the link: every loss has a counter, none is silent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from semflash.link.frame import Drop


@dataclass
class LinkCounters:
    """Counts of one session, host side.

    Attributes:
        frames_ok: frames delivered undamaged; frames_damaged: codes with a wrong CRC-32 (used, flagged).
        frames_useless: other frames with a wrong CRC-32; frames_misplaced: codes that are not their header's
            (:mod:`semflash.link.codes.custody`); frames_bad_prefix: damaged codes whose prefix is, too.
            None is believed: their numbers are among the lost.
        dropped: frames without a usable header or length, by reason.
        frames_lost: numbers of the device's frames that never came; frames_duplicate: numbers that had come
            before;
            frames_reordered: frames that came after a later one (:mod:`semflash.link.sequence`).
        stale_answers: for requests that are not open (unknown, old, duplicated); never given to an image.
        foreign: frames of another bundle; unexpected: frames no device should send now, or of a wrong size.
        refused: images the device refused, by reason number.
        controls_missed: images that the device encoded with other controls than they were to have, or sent
            early or late against `stream`; the former are sent again.
        images_resent, images_lost: sent again; given up.
        resyncs: HELLO exchanges after the first; restarts: resets of the device that these showed.
        faults: FAULT frames, which tell of a crash of the device.
        pilot_bits, pilot_bit_errors: known bits beside codes, and those that came wrong.
    """

    frames_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    frames_ok: int = 0
    frames_damaged: int = 0
    frames_useless: int = 0
    frames_misplaced: int = 0
    frames_bad_prefix: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Drop})
    frames_lost: int = 0
    frames_duplicate: int = 0
    frames_reordered: int = 0
    stale_answers: int = 0
    foreign: int = 0
    unexpected: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    controls_missed: int = 0
    images_resent: int = 0
    images_lost: int = 0
    resyncs: int = 0
    restarts: int = 0
    faults: int = 0
    pilot_bits: int = 0
    pilot_bit_errors: int = 0

    @property
    def frames_dropped(self) -> int:
        """All dropped frames."""
        return sum(self.dropped.values())

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)
