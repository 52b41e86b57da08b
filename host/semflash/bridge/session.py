"""A session with one device: HELLO, image rows out within the credit, codes in, losses counted and mended.

    with open_port("/dev/ttyACM0") as port:
        session = Session(port, Expected.of(bundle))
        hello = session.connect()
        for outcome in session.stream(enumerate(images_int8)):
            ...

Answers are matched by request number alone (:mod:`semflash.bridge.flight`); an answer that fits no open
number is counted and dropped. Every wait is bounded: an image is sent at most `max_attempts` times, HELLO is
asked `HELLO_ATTEMPTS` times, each for `timeout_s`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from semflash.bridge import messages
from semflash.bridge.counters import LinkCounters, SequenceCheck
from semflash.bridge.errors import StalledError
from semflash.bridge.flight import Flight, Sending, pixels
from semflash.bridge.frame import Dropped, Event, Frame, FrameType
from semflash.bridge.handshake import Expected, HelloWatch, check_hello
from semflash.bridge.line import Line
from semflash.bridge.messages import Hello, LinkStats
from semflash.bridge.outcome import Lost, Outcome, Received
from semflash.bridge.port import Port
from semflash.errors import LinkError

HELLO_ATTEMPTS = 3
BARREN_RESYNCS = 3
STATS_WAIT_S = 0.25
#: Rows under way: less than the 4,096 bytes a pseudo terminal holds, so neither side waits for the other.
IN_FLIGHT_BYTES = 3500

__all__ = ["Expected", "Lost", "Outcome", "Received", "Session"]


class Session:
    """One host at one device.

    Args:
        port: open port; the session does not close it.
        expected: what the bundle says the device must be.
        timeout_s: without progress for that long, the session asks for HELLO and sends again.
        max_attempts: sendings per image.
        first_request: of the session (tests); random by default.
    """

    def __init__(
        self,
        port: Port,
        expected: Expected,
        *,
        timeout_s: float = 10.0,
        max_attempts: int = 3,
        first_request: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hello: Hello | None = None
        self._line = Line(port)
        self._expected, self._timeout_s, self._clock = expected, timeout_s, clock
        self._flight = Flight(max_attempts, first_request)
        self._sequences = SequenceCheck(self.counters)
        self._sent = self._credit = 0  # ROWS frames since HELLO
        self._held: Received | None = None  # codes that wait for their IMAGE_STATS
        self._held_s = 0.0
        self._outcomes: deque[Outcome] = deque()
        self._progress_s = 0.0
        self._barren = 0  # resyncs since codes last came
        self._foreign_rows = False

    @property
    def counters(self) -> LinkCounters:
        """What happened since `connect`."""
        return self._line.counters

    def connect(self) -> Hello:
        """Say HELLO and check what answers. What was in the line before is dropped.

        Raises:
            WrongFirmwareError: another bundle or protocol version; SilenceError, GarbageError, LinkError.
        """
        hello = self._ask_hello()
        self._line.counters = LinkCounters()
        self._sequences = SequenceCheck(self.counters)
        return hello

    def stream(self, images: Iterable[tuple[int, NDArray[np.int8]]]) -> Generator[Outcome, None, None]:
        """Send images, yield what becomes of each; one outcome per image, not always in order.

        Args:
            images: (index, int8 (H, W, C)) pairs; may be a generator.

        Raises:
            LinkError: the device went silent or mad, or the port vanished. Outcomes known by then come first.
        """
        if self.hello is None:
            self.connect()
        size = self._expected.rows * self._expected.row_bytes
        self._flight.load(pixels(images, size))
        self._progress_s = self._clock()
        try:
            while self._step():
                while self._outcomes:
                    paused_s = self._clock()
                    yield self._outcomes.popleft()
                    self._progress_s += self._clock() - paused_s  # the caller's time is not the device's
        except LinkError:
            self._release()
            yield from self._outcomes
            self._outcomes.clear()
            raise
        self._release()
        yield from self._outcomes
        self._outcomes.clear()

    def link_stats(self) -> LinkStats:
        """Ask the device for its counts since reset.

        Raises:
            LinkError: no answer within the time-out.
        """
        self._line.send(FrameType.STATS_REQUEST, bundle=self._expected.hash32)
        deadline = self._clock() + self._timeout_s
        while self._clock() < deadline:
            event = self._line.next_event()
            if isinstance(event, Frame) and event.type == FrameType.LINK_STATS and not event.damaged:
                stats = messages.parse_link_stats(event.payload)
                if stats is not None:
                    self.counters.frames_ok += 1
                    self._sequences.see(event.sequence)
                    return stats
            if event is not None:
                self._on_event(event)
        raise LinkError(
            "the device does not tell its link statistics", remedy="reset the board and try again"
        )

    @property
    def unanswered(self) -> int:
        """Images sent, wholly or in part, without an outcome."""
        return self._flight.open_count

    def _step(self) -> bool:
        """Send what the window takes, handle one event; False when every image has its outcome."""
        self._pump()
        if not self._flight.open_count and self._held is None and self._window_open():
            return False
        event = self._line.next_event()
        if event is not None:
            self._on_event(event)
        now = self._clock()
        if self._held is not None and now - self._held_s > STATS_WAIT_S:
            self._release()
        if self._foreign_rows or now - self._progress_s > self._timeout_s:
            self._resync()
        return True

    def _window_open(self) -> bool:
        return self._sent - self._credit < self._window

    @property
    def _window(self) -> int:
        """ROWS frames to have under way."""
        assert self.hello is not None
        return max(1, min(self.hello.window, IN_FLIGHT_BYTES // self.hello.rows_payload))

    def _pump(self) -> None:
        """Send rows while the device has room for them."""
        assert self.hello is not None
        rows, row_bytes = self._expected.rows, self._expected.row_bytes
        while self._window_open():
            # A credit comes before the codes it makes, so more than window + 1 open images means lost codes.
            if self._flight.current is None and self._flight.open_count > self._window:
                return
            sending = self._flight.current or self._flight.take(self._clock())
            if sending is None:
                return
            count = min(self.hello.rows_per_frame, rows - sending.next_row)
            part = sending.rows[sending.next_row * row_bytes : (sending.next_row + count) * row_bytes]
            payload = messages.rows_payload(sending.next_row, part, row_bytes)
            bundle = self._expected.hash32
            self._line.send(FrameType.ROWS, payload, request=sending.request, bundle=bundle)
            self._sent += 1
            sending.next_row += count
            if sending.next_row == rows:
                self._flight.current = None

    def _resync(self) -> None:
        """Ask for HELLO and send everything unanswered again."""
        self._foreign_rows = False
        self._barren += 1
        if self._barren > BARREN_RESYNCS:
            raise StalledError(
                "the device answers HELLO but encodes no image",
                value=f"{BARREN_RESYNCS} new starts without codes",
                remedy="reset or flash the board again; raise [link] timeout_s if it is slow",
            )
        self.counters.resyncs += 1
        self._ask_hello()
        self._release()
        self._lose(self._flight.restart())
        self._progress_s = self._clock()

    def _ask_hello(self) -> Hello:
        watch = HelloWatch()
        for _ in range(HELLO_ATTEMPTS):
            self._line.send(FrameType.HELLO_REQUEST)
            deadline = self._clock() + self._timeout_s
            while self._clock() < deadline:
                before = self.counters.bytes_received
                event = self._line.next_event()
                watch.see(event, self.counters.bytes_received - before)
                if isinstance(event, Frame) and event.type == FrameType.HELLO and not event.damaged:
                    self.hello = check_hello(messages.parse_hello(event.payload), self._expected)
                    self.counters.frames_ok += 1
                    self._sequences.restart(event.sequence)
                    self._sent = self._credit = 0
                    return self.hello
                if event is not None:
                    self._on_event(event)
        raise watch.failure(self._expected, HELLO_ATTEMPTS * self._timeout_s)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Dropped):
            self.counters.dropped[event.reason] += 1
            return
        self._sequences.see(event.sequence)
        if not event.damaged:
            self.counters.frames_ok += 1
        elif event.type == FrameType.CODES:
            self.counters.frames_damaged += 1
        else:
            self.counters.frames_useless += 1
            return
        if event.bundle != self._expected.hash32:
            self.counters.foreign += 1
            return
        handlers = {
            FrameType.CODES: self._on_codes,
            FrameType.IMAGE_STATS: self._on_image_stats,
            FrameType.CREDIT: self._on_credit,
            FrameType.REFUSED: self._on_refused,
        }
        handlers.get(event.type, self._on_unexpected)(event)

    def _on_codes(self, frame: Frame) -> None:
        sending = self._flight.find(frame.request)
        if sending is None:
            self.counters.stale_answers += 1
            return
        if len(frame.payload) != self._expected.payload_bytes or sending.next_row < self._expected.rows:
            self._on_unexpected(frame)  # the wrong size, or an answer before the last row was sent
            return
        self._release()
        _, given_up = self._flight.answer(frame.request)
        self._lose(given_up)
        self._held_s = self._progress_s = self._clock()
        self._barren = 0
        seconds = self._held_s - sending.sent_s
        self._held = Received(
            sending.index, frame.request, sending.attempt, frame.payload, frame.damaged, seconds
        )

    def _on_image_stats(self, frame: Frame) -> None:
        stats = messages.parse_image_stats(frame.payload)
        if stats is None:
            self._on_unexpected(frame)
        elif self._held is None or self._held.request != frame.request:
            self.counters.stale_answers += 1
        else:
            self._held = replace(self._held, ticks=stats[0], stack_bytes=stats[1])
            self._release()

    def _on_credit(self, frame: Frame) -> None:
        credit = messages.parse_credit(frame.payload)
        if credit is None or not self._credit <= credit <= self._sent:
            self._on_unexpected(frame)
        elif credit > self._credit:
            self._credit = credit
            self._progress_s = self._clock()

    def _on_refused(self, frame: Frame) -> None:
        if len(frame.payload) != 1:
            self._on_unexpected(frame)
            return
        sending, given_up = self._flight.refuse(frame.request)
        if sending is None:
            self.counters.stale_answers += 1
            return
        reason = frame.payload[0]
        self.counters.refused[reason] = self.counters.refused.get(reason, 0) + 1
        self._foreign_rows |= reason == messages.REFUSED_BUNDLE
        self._lose(given_up)
        self._progress_s = self._clock()

    def _on_unexpected(self, frame: Frame) -> None:
        self.counters.unexpected += 1

    def _release(self) -> None:
        """Hand out the codes that wait for their IMAGE_STATS."""
        if self._held is not None:
            self._outcomes.append(self._held)
            self._held = None

    def _lose(self, given_up: list[Sending]) -> None:
        self._outcomes.extend(Lost(sending.index, sending.attempt) for sending in given_up)
        self.counters.images_lost += len(given_up)
        self.counters.images_resent = self._flight.repeated
