"""The link to one device without input and output: bytes and the time go in, events and bytes come out.

Nothing here opens a port, reads a clock, waits or draws a random number, so that the same input gives the
same output and a shell may wait in whatever way it likes. docs/link.md shows one;
:mod:`semflash.link.session` is the blocking one.

Answers are matched by request number alone (:mod:`semflash.link.core.flight`). Every wait is bounded: an
image is sent at most `max_attempts` times, HELLO is asked until no frame of the device has come for
`hello_attempts` time-outs (:mod:`semflash.link.core.patience`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from semflash.link.core.events import CoreEvent, NoPicture, NoStatistics, Pictured, Statistics
from semflash.link.core.flight import Flight
from semflash.link.core.machine import Machine, State
from semflash.link.core.patience import Search
from semflash.link.frame import Frame, FrameType
from semflash.link.handshake import Expected

#: Time-outs without a frame of the device before it counts as dead.
HELLO_ATTEMPTS = 3


class LinkCore(Machine):
    """One host at one device.

    A shell reads bytes and gives them to :meth:`receive_data`; calls :meth:`handle_timeout` when nothing came
    until :meth:`timeout_at`; and after every call writes what :meth:`data_to_send` gives and acts on what
    :meth:`next_event` gives, until both have nothing more. Times are seconds of any one clock; one that goes
    back counts as standing still.

    Args:
        expected: what the bundle says the device must be.
        session, first_request: u32, not 0; random in earnest
            (:func:`semflash.link.fresh_numbers.fresh_number`), so that answers to other hosts are strangers.
        timeout_s: without progress for that long, HELLO is asked and images are sent again; sooner where
            the device has been answering faster.
        max_attempts: sendings per image. hello_attempts: time-outs without a frame of the device before it
            counts as dead.
        tap: is called with every frame that is believed, before it is acted on.

    Attributes:
        state: see :mod:`semflash.link.core.machine`.
    """

    def __init__(
        self,
        expected: Expected,
        *,
        session: int,
        first_request: int,
        timeout_s: float = 10.0,
        max_attempts: int = 3,
        hello_attempts: int = HELLO_ATTEMPTS,
        tap: Callable[[Frame], None] | None = None,
    ) -> None:
        flight = Flight(max_attempts, first_request)
        super().__init__(expected, flight, session, timeout_s, hello_attempts * timeout_s, tap)

    # What is asked of the core.

    def connect(self, now_s: float) -> None:
        """Ask HELLO. Connected or Failed follows; accounts begin anew with it.

        Raises:
            RuntimeError: the core is not at rest (a bug of the shell).
        """
        self._begin(now_s)
        self._streams, self._fresh = False, True
        self._ask_hello()

    def start(self, now_s: float) -> None:
        """Begin to stream images; asks HELLO first where nothing is known of the device.

        What was under way before is sent again first. Outcomes follow, one per image, not always in order; at
        the end Finished or Failed.

        Raises:
            RuntimeError: the core is not at rest (a bug of the shell).
        """
        self._begin(now_s)
        self._streams, self._fresh, self._ended = True, self.hello is None, False
        self._progress_s = self._now_s
        self._yield.codes(self._now_s)
        if self._fresh:
            self._ask_hello()
        elif self._start_over and self._flight.pending_count:
            self._start_anew()
        else:
            self._send_rows()

    @property
    def wants_images(self) -> bool:
        """Whether an image that is offered now goes out at once. Others may be offered, too: they wait."""
        return self.state is State.STREAMING and not self._ended and self._has_room_for_an_image

    def set_controls(self, values: Mapping[str, int]) -> None:
        """Values from the next image offered on, until they are set again.

        Raises:
            UsageError: the program has no such control, or a value is out of its range.
        """
        self._steering.set(values)

    def offer(self, index: int, rows: bytes, now_s: float, controls: Mapping[str, int] | None = None) -> None:
        """Give one image.

        Args:
            index: the caller's number, which its outcome bears. rows: int8 pixels, row by row.
            controls: values that hold for it alone, by name.

        Raises:
            UsageError: the program has no such control, or a value is out of its range.
            ValueError: `rows` has not the size of an image (a bug of the shell).
        """
        size = self._expected.rows * self._expected.row_bytes
        if len(rows) != size:
            raise ValueError(f"an image for this device has {size} bytes, not {len(rows)}")
        self._tell(now_s)
        self._flight.offer(index, rows, self._steering.wanted(controls))
        if self.state is State.STREAMING:
            if self._start_over:
                self._start_anew()
            else:
                self._send_rows()

    def finish(self) -> None:
        """No more images will be offered: Finished follows the last outcome."""
        self._ended = True
        self._settle()

    def ask_link_stats(self, now_s: float) -> None:
        """Ask the device for its counts since reset. Statistics or NoStatistics follows."""
        self._tell(now_s)
        self._forget_events(Statistics, NoStatistics)
        self._question = Search(self._now_s, self._patience.answer_s, self._timeout_s)
        self._look_at_question()

    def ask_picture(self, request: int, now_s: float) -> None:
        """Ask the board's own source for one picture. Pictured or NoPicture follows.

        Args:
            request: u32, not 0; another one than of the picture before, whose rows may still come.
        """
        self._tell(now_s)
        self._forget_events(Pictured, NoPicture)
        self._picture.ask(request, self._now_s)
        self._frames.send(FrameType.CAPTURE, request=request, bundle=self._expected.hash32)

    def stop(self) -> None:
        """Do no more for now. Images under way stay: their answers are still taken, and the next start sends
        again what has none."""
        self._start_over |= self._asking is not None and self._streams and not self._fresh
        self._rest()

    def disconnected(self) -> None:
        """The line broke: as :meth:`stop`, and what waited to go out is forgotten."""
        self._frames.forget_unsent()
        self._question = None
        self._picture.forget()
        self._start_over |= self.hello is not None
        self._release()
        self._rest()

    def give_up(self) -> None:
        """Close the account: every image without an outcome is lost; the core is at rest."""
        self._release()
        self._lose(self._flight.give_up())
        self._rest()

    def paused(self, seconds: float) -> None:
        """The shell did not read for so long, for reasons of its own: that time is not the device's."""
        self._progress_s += seconds
        self._yield.paused(seconds)
        if self._asking is not None:
            self._asking.paused(seconds)
        if self._question is not None:
            self._question.paused(seconds)
        self._picture.paused(seconds)

    # Bytes and time.

    def receive_data(self, data: bytes, now_s: float) -> None:
        """Bytes came, in any pieces."""
        self._tell(now_s)
        events = self._frames.receive(data)
        if self._asking is not None:
            self._asking.came(len(data))
        for event in events:
            if self._asking is None:
                self._on_event(event)
            else:
                self._on_event_while_asking(self._asking, event)
        self._look(idle=not events)

    def handle_timeout(self, now_s: float) -> None:
        """Nothing came until now. Too early does no harm; later than `timeout_at` only makes waits longer."""
        self._tell(now_s)
        self._look(idle=True)

    def timeout_at(self) -> float | None:
        """When `handle_timeout` is to be called if nothing comes before; None: nothing is waited for."""
        times = [self._question.due_s] if self._question is not None else []
        if self._picture.due_s is not None:
            times.append(self._picture.due_s)
        if self._asking is not None:
            times.append(self._asking.due_s(self._now_s))
        elif self.state is State.STREAMING and (due_s := self._stream_due_s()) is not None:
            times.append(due_s)
        return min(times, default=None)

    def data_to_send(self, most: int | None = None) -> bytes:
        """The next frame to write, or its first `most` bytes (the rest stays the next); b"": none waits."""
        return self._frames.data_to_send(most)

    def next_event(self) -> CoreEvent | None:
        """The next event; None: none yet."""
        return self._events.popleft() if self._events else None

    # Accounts.

    @property
    def unanswered(self) -> int:
        """Images sent, wholly or in part, without an outcome."""
        return self._flight.open_count

    @property
    def pending(self) -> int:
        """Images offered without an outcome: images offered = received + lost + pending, events that wait
        included."""
        return self._flight.pending_count + (self._held is not None)


__all__ = ["HELLO_ATTEMPTS", "LinkCore", "State"]
