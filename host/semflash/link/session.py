"""A session with one device: HELLO, image rows out within the credit, codes in, losses counted and mended.

    with open_port("/dev/ttyACM0") as port:
        session = Session(port, Expected.of(bundle))
        hello = session.connect()
        for outcome in session.stream(enumerate(images_int8)):
            ...

Answers are matched by request number alone (:mod:`semflash.link.core.flight`); an answer that fits no open
number is counted and dropped. Every wait is bounded: an image is sent at most `max_attempts` times, HELLO is
asked again and again until no frame of the device has come for `HELLO_ATTEMPTS` time-outs
(:mod:`semflash.link.core.patience`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable

import numpy as np
from numpy.typing import NDArray

from semflash.errors import LinkError
from semflash.link import messages
from semflash.link.core.conversation import Conversation
from semflash.link.counters import LinkCounters
from semflash.link.errors import StalledError
from semflash.link.core.flight import Flight, pixels
from semflash.link.frame import Frame, FrameType
from semflash.link.handshake import Expected, HelloWatch, check_hello
from semflash.link.messages import Hello, LinkStats
from semflash.link.outcome import Lost, Outcome, Received
from semflash.link.core.patience import FIRST_ASK_S, Search
from semflash.link.port import Port
from semflash.link.sequence import SequenceLedger
from semflash.link.core.window import Underway

#: Time-outs without a frame of the device before it counts as dead.
HELLO_ATTEMPTS = 3
STATS_WAIT_S = 0.25
FRAME_OVERHEAD = 32  # header, CRC and COBS of a ROWS frame of usual size
#: Images under way whose answers may still come, whatever window a device claims.
OPEN_IMAGES_MAX = 256

__all__ = ["Expected", "Lost", "Outcome", "Received", "Session"]


class Session(Conversation):
    """One host at one device.

    Args:
        port: open port; the session does not close it.
        expected: what the bundle says the device must be.
        timeout_s: without progress for that long, the session asks for HELLO and sends again; sooner where
            the device has been answering faster.
        max_attempts: sendings per image. hello_attempts: time-outs without a frame of the device before it
            counts as dead.
        first_request: of the session (tests); random by default.
    """

    def __init__(
        self,
        port: Port,
        expected: Expected,
        *,
        timeout_s: float = 10.0,
        max_attempts: int = 3,
        hello_attempts: int = HELLO_ATTEMPTS,
        first_request: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(port, expected, Flight(max_attempts, first_request), timeout_s, clock)
        self._hello_limit_s = hello_attempts * timeout_s

    def connect(self) -> Hello:
        """Say HELLO and check what answers. What was in the line before is dropped.

        Raises:
            WrongFirmwareError: another bundle or protocol version; SilenceError, GarbageError, LinkError.
        """
        hello = self._ask_hello()
        self._line.counters = LinkCounters()
        self._ledger = SequenceLedger(self.counters)
        self._ledger.hello(hello.frames_sent, hello.uptime_us)
        return hello

    def stream(self, images: Iterable[tuple[int, NDArray[np.int8]]]) -> Generator[Outcome, None, None]:
        """Send images, yield what becomes of each; one outcome per image, not always in order.

        After a LinkError it may be called again on the same port: what was under way is sent again first.

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
        self._yield.codes(self._progress_s)
        try:
            while self._step():
                while self._outcomes:
                    paused_s = self._clock()
                    yield self._outcomes.popleft()
                    paused_s = self._clock() - paused_s  # the caller's time is not the device's
                    self._progress_s += paused_s
                    self._yield.paused(paused_s)
        except LinkError:
            self._start_over = True
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
        self._link_stats = None
        search = Search(self._clock(), self._patience.answer_s, self._timeout_s)
        while not search.over(now := self._clock()):
            if search.asks(now):
                self._line.send(FrameType.STATS_REQUEST, bundle=self._expected.hash32)
            event = self._line.next_event()
            if event is not None:
                self._on_event(event)
            if self._link_stats is not None:
                return self._link_stats
        raise LinkError(
            "the device does not tell its link statistics", remedy="reset the board and try again"
        )

    def _step(self) -> bool:
        """Send what the window takes, handle one event; False when every image has its outcome."""
        self._pump()
        if self._flight.exhausted and not self._flight.open_count and self._held is None:
            return False
        event = self._line.next_event()
        if event is not None:
            self._on_event(event)
        now = self._clock()
        if self._held is not None and now - self._held_s > STATS_WAIT_S:
            self._release()
        if self._start_over or self._is_overdue(now - self._progress_s, idle=event is None):
            self._resync()
        return True

    def _is_overdue(self, silent_s: float, *, idle: bool) -> bool:
        """Whether the device should have answered by now. idle: nothing waits to be read either."""
        if self._flight.exhausted and not self._flight.open_count:
            return False  # only the cost of the last image is waited for
        return silent_s > (self._patience.wait_s if idle else self._timeout_s)

    def _pump(self) -> None:
        """Send rows while the device has room for them."""
        assert self.hello is not None
        rows, row_bytes = self._expected.rows, self._expected.row_bytes
        while True:
            # A credit comes before the codes it makes, so more open images than that means lost codes.
            if self._flight.current is None and self._flight.open_count > min(
                self.hello.window, OPEN_IMAGES_MAX
            ):
                return
            next_row = self._flight.current.next_row if self._flight.current is not None else 0
            count = min(self.hello.rows_per_frame, rows - next_row)
            if not self._window.takes(count * row_bytes + FRAME_OVERHEAD, self.hello.window):
                return
            sending = self._flight.current or self._flight.take(self._clock())
            if sending is None:
                return
            part = sending.rows[sending.next_row * row_bytes : (sending.next_row + count) * row_bytes]
            payload = messages.rows_payload(sending.next_row, part, row_bytes)
            bundle = self._expected.hash32
            number, size = self._line.send(FrameType.ROWS, payload, request=sending.request, bundle=bundle)
            self._window.sent(Underway(number, size, sending.request))
            sending.next_row += count
            if sending.next_row == rows:
                self._flight.current = None

    def _resync(self) -> None:
        """Ask for HELLO and send everything unanswered again."""
        self._yield.new_start(for_silence=not self._start_over)
        self._start_over = False
        self._patience.disappointed()
        if self._yield.is_over(self._clock()):
            raise StalledError(
                "the device answers HELLO but encodes no image",
                value=self._yield.account(),
                remedy="reset or flash the board again; raise [link] timeout_s if it is slow",
            )
        self.counters.resyncs += 1
        self._ask_hello()
        self._release()
        self._lose(self._flight.restart())
        self._progress_s = self._clock()

    def _ask_hello(self) -> Hello:
        watch, began_s, known = HelloWatch(), self._clock(), self.hello is not None
        first_wait_s = self._patience.answer_s if known else min(FIRST_ASK_S, self._timeout_s)
        search = Search(began_s, first_wait_s, self._hello_limit_s)
        while not search.over(now := self._clock()):
            if search.asks(now):
                if search.asked > 1 and not known:
                    self._line.ask_hello_of_earlier()  # an old firmware hears nothing else
                self._line.ask_hello()
            before = self.counters.bytes_received
            event = self._line.next_event()
            watch.see(event, self.counters.bytes_received - before)
            if isinstance(event, Frame) and self._is_answer(event):
                return self._take_hello(event)
            if event is not None:
                self._on_event(event)
                search.stirred()
                if watch.is_device(event):
                    search.heard(self._clock())
            if search.asked > 1 and watch.other_version is not None:
                break
        whole_before = self.counters.frames_ok if known else 0
        raise watch.failure(self._expected, self._clock() - began_s, whole_before)

    def _is_answer(self, frame: Frame) -> bool:
        """A HELLO to this session's request."""
        return frame.type == FrameType.HELLO and not frame.damaged and frame.request == self._line.session

    def _take_hello(self, frame: Frame) -> Hello:
        hello = check_hello(messages.parse_hello(frame.payload), self._expected)
        for believed in self._custody.hello(frame):
            self._on_believed(believed)
        self.hello = hello
        self._custody.pilot_bytes = hello.pilot_bytes
        self.counters.frames_ok += 1
        self._ledger.hello(hello.frames_sent, hello.uptime_us, self._device_us)
        self._window.restart()
        self._device_us = hello.uptime_us
        return hello
