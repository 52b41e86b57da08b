"""Which received frames are believed: damaged codes wait until what comes after vouches for their header.

A payload whose CRC-32 is right belongs to its header. Of a damaged CODES frame only the header's CRC-16 is
right, and its payload may be another image's: bytes lost from the middle of one frame to the middle of
another leave such a splice, and a garbled header passes a CRC-16 once in 65,536 times. Two things tell:

* **Frame numbers.** A splice swallows whole frames. The next frame that comes whole has a later number, so
  damaged codes number s before frame number n are their header's only if every number between has left
  something on the line: n - s - 1 is at most the number of pieces between delimiters that came in between.
  An IMAGE_STATS number s + 1 must also be about the same request.
* **Pilots.** They depend on bundle, number and request. Of whole codes, every pilot bit must be right. Of
  damaged ones, no more may be wrong than a line at the largest usable error rate explains
  (:func:`semflash.link.pilots.errors_allowed`).

Codes that fail are *misplaced*: dropped, counted, and their number believed to be lost. No port, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from semflash.link import pilots
from semflash.link.frame import Dropped, Event, Frame, FrameType

#: Frame numbers remembered, by which damaged codes that come late are known to be followed by their
#: successor.
RECENT_FRAMES = 64


@dataclass(frozen=True)
class Misplaced:
    """CODES that do not belong to their header."""

    frame: Frame


Believed = Frame | Dropped | Misplaced


class Custody:
    """Turns the events of a decoder into believed ones, in the order of the line.

    Out come: Dropped as it is; undamaged frames; damaged CODES once they are vouched for, before the frame
    that did so; other damaged frames, whose header proves nothing; Misplaced.

    Args:
        bundle: first 32 bits of the bundle hash. code_bytes: codes in a CODES payload.

    Attributes:
        pilot_bytes: pilots in a CODES payload, as HELLO told.
    """

    def __init__(self, bundle: int, code_bytes: int) -> None:
        self._bundle, self._code_bytes = bundle, code_bytes
        self.pilot_bytes = 0
        self._held: Frame | None = None
        self._pieces = 0  # that came since, between delimiters, without a number to be believed
        self._recent: deque[int] = deque(maxlen=RECENT_FRAMES)

    @property
    def waiting(self) -> bool:
        """Damaged codes wait for a later frame."""
        return self._held is not None

    def take(self, event: Event) -> list[Believed]:
        """One event of the decoder; what is believed now."""
        if isinstance(event, Dropped):
            self._pieces += 1
            return [event]
        if event.bundle != self._bundle or (event.damaged and event.type != FrameType.CODES):
            self._pieces += 1
            return [event]
        if event.type == FrameType.CODES and not self._pilots_fit(event):
            self._pieces += 1
            return [Misplaced(event)]
        settled = self._settle(event)
        if not event.damaged:
            self._recent.append(event.sequence)
            return [*settled, event]
        if (event.sequence + 1) & 0xFFFF in self._recent:  # it comes late: its successor was here before
            return [*settled, event]
        settled += self.give_up()
        self._held, self._pieces = event, 0
        return settled

    def hello(self, frame: Frame) -> list[Believed]:
        """HELLO to this session's question: what came before is settled, and the device may have been reset.

        Returns:
            what is believed now, without the HELLO itself.
        """
        believed = [*self.take(frame)[:-1], *self.give_up()]
        self._recent.clear()
        return believed

    def give_up(self) -> list[Believed]:
        """No later frame can vouch for what waits."""
        held, self._held = self._held, None
        return [] if held is None else [Misplaced(held)]

    def _settle(self, later: Frame) -> list[Believed]:
        """What `later`, whose number is believed, says about the codes that wait."""
        if self._held is None:
            return []
        ahead = (later.sequence - self._held.sequence) & 0xFFFF
        if ahead == 0 or ahead >= 0x8000:
            return []  # a double, or a frame from before
        other_image = (
            ahead == 1 and later.type == FrameType.IMAGE_STATS and later.request != self._held.request
        )
        if other_image or ahead - 1 > self._pieces:
            return self.give_up()
        held, self._held = self._held, None
        self._recent.append(held.sequence)
        return [held]

    def _pilots_fit(self, codes: Frame) -> bool:
        """Whether the pilots are those of the codes' own header, as far as noise lets tell."""
        if len(codes.payload) != self._code_bytes + self.pilot_bytes:
            return not codes.damaged  # whole codes of a wrong size are the device's fault, not the line's
        _, known = pilots.split(codes.payload, self.pilot_bytes)
        errors = pilots.difference(known, codes.bundle, codes.sequence, codes.request)
        wrong = int.from_bytes(errors, "big").bit_count()
        return wrong <= (pilots.errors_allowed(8 * len(known)) if codes.damaged else 0)
