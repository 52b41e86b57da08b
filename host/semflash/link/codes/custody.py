"""Which received frames are believed: damaged codes wait until what comes after vouches for their header.

A payload whose CRC-32 is right belongs to its header. Of a damaged frame of codes only the header's CRC-16 is
right, and its payload may be another image's: bytes lost from the middle of one frame to the middle of
another leave such a splice, and a garbled header passes a CRC-16 once in 65,536 times. Two things tell:

* **Frame numbers.** A splice swallows whole frames. The next frame that comes whole has a later number, so
  damaged codes number s before frame number n are their header's only if every number between has left
  something on the line: n - s - 1 is at most the number of pieces between delimiters that came in between.
  Number s + 1 must also be what a device sends next: behind the last codes of an image its IMAGE_STATS,
  behind another fragment no IMAGE_STATS, and of the same image no fragment but the next one.
* **Pilots.** They depend on bundle, number and request. Of whole codes, every pilot bit must be right. Of
  damaged ones, no more may be wrong than a line at the largest usable error rate explains
  (:func:`semflash.link.codes.pilots.errors_allowed`).

A damaged CODES_PART frame whose prefix is wrong is dropped at once (:class:`BadPrefix`): what it says of
controls and offset is strictly protected, and nothing is guessed. Codes that fail are *misplaced*: dropped,
counted, and their number believed to be lost. No port, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from semflash.link.codes import pilots
from semflash.link.codes.fragments import CodesFormat, Fragment, has_bad_prefix, is_codes, read_codes
from semflash.link.frame import Dropped, Event, Frame, FrameType

#: Frame numbers remembered, by which damaged codes that come late are known to be followed by their
#: successor.
RECENT_FRAMES = 64


@dataclass(frozen=True)
class Misplaced:
    """Codes that do not belong to their header."""

    frame: Frame


@dataclass(frozen=True)
class BadPrefix:
    """Damaged codes whose prefix is damaged, too."""

    frame: Frame


Believed = Frame | Dropped | Misplaced | BadPrefix


class Custody:
    """Turns the events of a decoder into believed ones, in the order of the line.

    Out come: Dropped as it is; undamaged frames; damaged codes once they are vouched for, before the frame
    that did so; other damaged frames, whose header proves nothing; Misplaced; BadPrefix.

    Args:
        bundle: first 32 bits of the bundle hash. form: how the device sends codes.

    Attributes:
        form: the same; HELLO may tell another one.
    """

    def __init__(self, bundle: int, form: CodesFormat) -> None:
        self._bundle, self.form = bundle, form
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
        if event.bundle != self._bundle or (event.damaged and not is_codes(event)):
            self._pieces += 1
            return [event]
        refused = self._refused(event) if is_codes(event) else None
        if refused is not None:
            self._pieces += 1
            return [refused]
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
        if (ahead == 1 and not self._follows(later)) or ahead - 1 > self._pieces:
            return self.give_up()
        held, self._held = self._held, None
        self._recent.append(held.sequence)
        return [held]

    def _follows(self, later: Frame) -> bool:
        """Whether a device that sent the codes that wait can send `later` right after them."""
        assert self._held is not None
        held, same = read_codes(self._held, self.form), later.request == self._held.request
        if later.type == FrameType.IMAGE_STATS:
            return same and (held is None or held.last)
        if not is_codes(later) or held is None:
            return True
        if held.last:
            return False  # IMAGE_STATS comes in between
        found = read_codes(later, self.form)
        return not same or (found is not None and found.offset == held.end)

    def _refused(self, codes: Frame) -> Misplaced | BadPrefix | None:
        """Why codes are not believed whatever comes after them; None: nothing speaks against them."""
        fragment = read_codes(codes, self.form)
        if fragment is None:
            if not codes.damaged:
                return None  # whole codes that make no sense are the device's fault, not the line's
            return BadPrefix(codes) if has_bad_prefix(codes, self.form) else Misplaced(codes)
        return None if _pilots_fit(fragment) else Misplaced(codes)


def _pilots_fit(fragment: Fragment) -> bool:
    """Whether the pilots are those of the codes' own header, as far as noise lets tell."""
    wrong = int.from_bytes(fragment.pilot_errors, "big").bit_count()
    allowed = pilots.errors_allowed(8 * len(fragment.pilot_errors)) if fragment.damaged else 0
    return wrong <= allowed
