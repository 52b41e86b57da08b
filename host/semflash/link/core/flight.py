"""Which images are under way: request numbers and their answers, without port or time.

A request number is given to one sending of one image and never again in a session, so an answer for a number
that is not open (unknown, old, duplicated) cannot be taken for another image's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from semflash.link.codes.fragments import Assembly

REQUEST_MAX = 0xFFFF_FFFF


@dataclass
class Sending:
    """One sending of one image.

    Attributes:
        index: the caller's number of the image.
        rows: int8 pixels of the image as bytes.
        attempt: 1 for the first sending.
        request: u32 number on the wire, 0 before it is sent.
        next_row: the first row not yet sent.
        sent_s: clock when its first row went out.
        controls: values that it is to be encoded with, by name.
        settings: payloads of CONTROL that must go out before its rows; None: not looked at yet.
        assembly: the fragments of its codes that came.
    """

    index: int
    rows: bytes
    attempt: int = 1
    request: int = 0
    next_row: int = 0
    sent_s: float = 0.0
    controls: Mapping[str, int] = field(default_factory=dict)
    settings: deque[bytes] | None = None
    assembly: Assembly = field(default_factory=Assembly)


class Flight:
    """Images on their way, in the order in which their sending began.

    Args:
        max_attempts: sendings per image before it counts as lost.
        first_request: u32, not 0; random in earnest, so that answers to an earlier session are strangers.

    Attributes:
        current: the image whose rows are going out. repeated: sendings after the first, of all images.
    """

    def __init__(self, max_attempts: int, first_request: int) -> None:
        self._first = self._next = first_request
        self._wrapped = False
        self._max_attempts = max_attempts
        self._new: deque[Sending] = deque()
        self._again: deque[Sending] = deque()
        self._open: dict[int, Sending] = {}
        self.current: Sending | None = None
        self.repeated = 0

    def offer(self, index: int, rows: bytes, controls: Mapping[str, int]) -> None:
        """An image to send after those that wait."""
        self._new.append(Sending(index, rows, controls=controls))

    def take(self, now_s: float) -> Sending | None:
        """The image whose rows go out next: one to repeat first, else the next new one; None: none waits."""
        if not self.waiting_count:
            return None
        sending = (self._again or self._new).popleft()
        sending.request = self._number()
        sending.next_row = 0
        sending.sent_s = now_s
        self._open[sending.request] = sending
        self.current = sending
        return sending

    @property
    def open_count(self) -> int:
        """Images sent, wholly or in part, that have no answer."""
        return len(self._open)

    @property
    def waiting_count(self) -> int:
        """Images that wait to be sent, the first time or again."""
        return len(self._again) + len(self._new)

    @property
    def pending_count(self) -> int:
        """Images without an outcome: open ones and those that wait."""
        return self.open_count + self.waiting_count

    def find(self, request: int) -> Sending | None:
        """The open sending with this number."""
        return self._open.get(request)

    def answer(self, request: int) -> tuple[Sending | None, list[Sending]]:
        """Close `request`, and all opened before it: the device answers in order, so theirs are lost.

        Returns:
            its sending (None: not open, a stranger's or an old answer), and those that are given up for good.
        """
        if request not in self._open:
            return None, []
        given_up = self.overtake(request)
        return self._close(request), given_up

    def overtake(self, request: int) -> list[Sending]:
        """The device has gone on to `request`: answers to all opened before are lost. Those given up."""
        given_up: list[Sending] = []
        for older in list(self._open) if request in self._open else ():
            if older == request:
                break
            given_up += self._repeat(self._close(older))
        return given_up

    def refuse(self, request: int) -> tuple[Sending | None, list[Sending]]:
        """Like `answer`, for an image the device gave up: it is sent again unless tried enough."""
        sending, given_up = self.answer(request)
        if sending is not None:
            given_up += self._repeat(sending)
        return sending, given_up

    def restart(self) -> list[Sending]:
        """After a new HELLO: every open image is sent again; returns those given up for good."""
        given_up: list[Sending] = []
        for request in list(self._open):
            given_up += self._repeat(self._close(request))
        return given_up

    def give_up(self) -> list[Sending]:
        """No image is sent any more: all that have no outcome, in the order of their sending."""
        given_up = [*self._open.values(), *self._again, *self._new]
        for pending in (self._open, self._again, self._new):
            pending.clear()
        self.current = None
        return given_up

    def _repeat(self, sending: Sending) -> list[Sending]:
        if sending.attempt >= self._max_attempts:
            return [sending]
        self.repeated += 1
        again = Sending(sending.index, sending.rows, sending.attempt + 1, controls=sending.controls)
        self._again.append(again)
        return []

    def _close(self, request: int) -> Sending:
        sending = self._open.pop(request)
        if self.current is sending:
            self.current = None
        return sending

    def _number(self) -> int:
        if self._wrapped and self._next == self._first:
            raise RuntimeError("all request numbers of the session are used")  # after 2^32 - 1 images
        number = self._next
        self._next = number % REQUEST_MAX + 1  # 1 .. 2^32 - 1; 0 is for frames about no image
        self._wrapped = True
        return number
