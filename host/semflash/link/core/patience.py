"""How long to wait for a device: learnt from its answers, doubled after silence. No port, no clock."""

from __future__ import annotations

import math

#: The shortest wait: a device that answers within milliseconds runs in this process or on an idle computer.
FLOOR_S = 0.1
#: A wait is so many times the longest gap between answers of late.
MARGIN = 8.0
#: Share of the longest gap that is left after each answer.
_FADE = 0.98
#: HELLO is first asked again after that, where nothing is known of the device.
FIRST_ASK_S = 0.5
#: Longest gap between two questions, unless the device is known to be slower.
LONGEST_ASK_S = 1.0
#: Frames that come prolong the search for HELLO, to at most so many times its usual length.
PERSEVERANCE = 10
#: Images given up one after the other before it is asked whether that has any use.
LOST_IN_A_ROW = 10
#: New starts without codes, and time-outs in which none came, before a device counts as stalled.
BARREN_STARTS = 3


class Patience:
    """When silence means that something got lost.

    >>> patience = Patience(timeout_s=10.0)
    >>> patience.wait_s
    10.0
    >>> patience.answered(0.1)
    >>> patience.wait_s
    0.8
    >>> patience.disappointed()
    >>> patience.wait_s
    1.6
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._longest_s: float | None = None
        self._doublings = 0

    @property
    def wait_s(self) -> float:
        """Seconds without progress after which to ask HELLO; `timeout_s` until the first answer."""
        return float(min(self.answer_s * 2**self._doublings, self._timeout_s))

    @property
    def answer_s(self) -> float:
        """Seconds in which one question is answered, if neither it nor its answer is lost."""
        if self._longest_s is None:
            return self._timeout_s
        return min(max(FLOOR_S, MARGIN * self._longest_s), self._timeout_s)

    def answered(self, gap_s: float) -> None:
        """The device made progress, `gap_s` after it had last done so."""
        self._longest_s = max(gap_s, _FADE * (self._longest_s or 0.0))
        self._doublings = 0

    def disappointed(self) -> None:
        """The wait was over without an answer."""
        self._doublings = min(self._doublings + 1, 16)


class Search:
    """When to ask HELLO again, and when to give up.

    Asked again after a wait that doubles twice in silence, and is short again when broken frames come: those
    may be answers. Given up after `limit_s` in which no whole frame of the device came, after PERSEVERANCE
    times that anyway.

    Args:
        now_s: clock. first_wait_s: between the first two questions; longer ones are at most LONGEST_ASK_S.
    """

    def __init__(self, now_s: float, first_wait_s: float, limit_s: float) -> None:
        self._asked_s, self._wait_s = -math.inf, 0.0
        self._first_wait_s, self._limit_s = first_wait_s, limit_s
        self._until_s, self._at_most_s = now_s + limit_s, now_s + PERSEVERANCE * limit_s
        self.asked = 0

    def asks(self, now_s: float) -> bool:
        """Whether to ask now; counts the question."""
        if now_s < self._asked_s + self._wait_s:
            return False
        self.asked += 1
        self._asked_s = now_s
        longest_s = max(self._first_wait_s, min(LONGEST_ASK_S, 4 * self._first_wait_s))
        self._wait_s = min(2 * self._wait_s, longest_s) if self._wait_s else self._first_wait_s
        return True

    def stirred(self) -> None:
        """A broken frame came."""
        self._wait_s = self._first_wait_s

    def heard(self, now_s: float) -> None:
        """A whole frame of the device came."""
        self._until_s = min(now_s + self._limit_s, self._at_most_s)

    def paused(self, seconds: float) -> None:
        """The caller took its time, in which nothing was read."""
        self._asked_s += seconds
        self._until_s += seconds
        self._at_most_s += seconds

    @property
    def due_s(self) -> float:
        """When to ask again or to give up, whichever comes first."""
        return min(self._asked_s + self._wait_s, self._until_s)

    def over(self, now_s: float) -> bool:
        """Whether to give up."""
        return now_s >= self._until_s


class Yield:
    """Whether a device that answers HELLO still gives codes, or has to be given up.

    A bad line is no reason as long as codes come at all; a device that refuses images for what they are, or
    shows itself reset again and again, is one at once.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.codes(0.0)

    def codes(self, now_s: float) -> None:
        """Codes came, or sending began."""
        self._since_s = now_s
        self._starts = self._leaps = self._given_up = self._failures = 0

    def paused(self, seconds: float) -> None:
        """The caller took its time."""
        self._since_s += seconds

    def new_start(self, *, for_silence: bool) -> None:
        """HELLO is asked: after silence, or because of what came."""
        self._starts += 1
        self._leaps += not for_silence

    def gave_up(self, images: int) -> None:
        """Images were sent often enough."""
        self._given_up += images

    def failed(self) -> None:
        """The device took an image and refused it, or answered with codes of a wrong size."""
        self._failures += 1

    def in_vain(self, now_s: float) -> bool:
        """Whether images are given up one after the other and more of them will not help."""
        if self._given_up < LOST_IN_A_ROW:
            return False
        return self._failures >= LOST_IN_A_ROW or now_s - self._since_s >= self._timeout_s

    def is_over(self, now_s: float) -> bool:
        """Whether a new start will not help either."""
        barren = self._starts > BARREN_STARTS and now_s - self._since_s >= BARREN_STARTS * self._timeout_s
        return barren or self._leaps > BARREN_STARTS or self.in_vain(now_s)

    def account(self) -> str:
        """What happened since codes last came, for a message."""
        return f"{self._starts - 1} new starts, {self._given_up} images given up without codes"
