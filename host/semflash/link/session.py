"""The blocking shell of the link core: a port and a clock.

    with open_port("/dev/ttyACM0") as port:
        session = Session(port, Expected.of(bundle))
        hello = session.connect()
        for outcome in session.stream(enumerate(images_int8)):
            ...

What is sent, believed, sent again and given up is decided by :class:`semflash.link.core.LinkCore`; here bytes
are written and read, and the time is told.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

from semflash.errors import LinkError
from semflash.link.core import (
    Connected,
    Failed,
    Finished,
    LinkCore,
    NoPicture,
    NoStatistics,
    Pictured,
    Statistics,
)
from semflash.link.core.link_core import HELLO_ATTEMPTS
from semflash.link.counters import LinkCounters
from semflash.link.fresh_numbers import fresh_number
from semflash.link.handshake import Expected
from semflash.link.messages import Hello, LinkStats
from semflash.link.outcome import Lost, Outcome, Received
from semflash.link.pixels import Image, pixels
from semflash.link.port import Port, read_waiting

__all__ = ["Expected", "Lost", "Outcome", "Received", "Session"]


class Session:
    """One host at one device.

    Args:
        port: open port; the session does not close it.
        expected: what the bundle says the device must be.
        timeout_s: without progress for that long, the session asks for HELLO and sends again; sooner where
            the device has been answering faster.
        max_attempts: sendings per image. hello_attempts: time-outs without a frame of the device before it
            counts as dead.
        first_request: of the session (tests); random by default.

    Attributes:
        core: what decides; its state may be looked at.
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
        self._port, self._clock = port, clock
        self._image_bytes = expected.rows * expected.row_bytes
        self.core = LinkCore(
            expected,
            session=fresh_number(),
            first_request=fresh_number() if first_request is None else first_request,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            hello_attempts=hello_attempts,
        )
        self._outcomes: deque[Outcome] = deque()
        self._pictures = fresh_number()
        self._streams = 0  # begun so far: one that was left behind does not stop a later one

    @property
    def hello(self) -> Hello | None:
        """What the device said last; None: nothing yet."""
        return self.core.hello

    @property
    def fault_report(self) -> bytes | None:
        """Payload of the device's last FAULT frame; None: it sent none."""
        return self.core.fault_report

    @property
    def counters(self) -> LinkCounters:
        """What happened since `connect`."""
        return self.core.counters

    @property
    def unanswered(self) -> int:
        """Images sent, wholly or in part, without an outcome."""
        return self.core.unanswered

    def connect(self) -> Hello:
        """Say HELLO and check what answers. What was in the line before is dropped.

        Raises:
            WrongFirmwareError: another bundle or protocol version; SilenceError, GarbageError, LinkError.
        """
        self.core.stop()
        self.core.connect(self._clock())
        try:
            while True:
                event = self._next_event()
                if isinstance(event, Connected):
                    return event.hello
                if isinstance(event, Failed):
                    raise event.error
        finally:
            self.core.stop()

    def set_controls(self, values: Mapping[str, int]) -> None:
        """Encode with these values from the next image handed in on, until they are set again.

        They outlast resets of the device and new connections of this session.

        Args:
            values: by the controls' names; `stream` is the link's own (docs/wire-format.md).

        Raises:
            UsageError: the program has no such control, or a value is out of its range.
        """
        self.core.set_controls(values)

    def stream(self, images: Iterable[Image]) -> Generator[Outcome, None, None]:
        """Send images, yield what becomes of each; one outcome per image, not always in order.

        After a LinkError it may be called again on the same port: what was under way is sent again first.

        Args:
            images: (index, int8 (H, W, C)) pairs, or (index, pixels, controls) with values that hold for that
                image alone; may be a generator.

        Raises:
            UsageError: an image's controls are not the program's, or out of their ranges.
            LinkError: the device went silent or mad, or the port vanished. Outcomes known by then come first.
        """
        if self.hello is None:
            self.connect()
        source = pixels(images, self._image_bytes)
        self._streams += 1
        this_one = self._streams
        self.core.stop()
        self.core.start(self._clock())
        end: Finished | Failed | None = None
        try:
            while end is None and this_one == self._streams:
                end = self._turn(source)
                while self._outcomes:
                    with _CallersTime(self.core, self._clock):
                        yield self._outcomes.popleft()
        finally:
            if this_one == self._streams:
                self.core.stop()
        if isinstance(end, Failed):
            raise end.error

    def link_stats(self) -> LinkStats:
        """Ask the device for its counts since reset.

        Raises:
            LinkError: no answer within the time-out.
        """
        self.core.ask_link_stats(self._clock())
        while True:
            event = self._next_event()
            if isinstance(event, Statistics):
                return event.stats
            if isinstance(event, NoStatistics):
                raise event.error

    def picture(self) -> bytes:
        """One picture of the board's own source: int8 pixels, row by row (docs/device.md).

        Raises:
            LinkError: the board has no source, it failed, rows were lost on the line, or none came in time.
        """
        hello = self.hello or self.connect()
        if "capture" not in hello.capabilities:
            raise LinkError(
                "this firmware has no source of its own that it shows",
                value=f"board {hello.board!r}",
                remedy="sf_device_show() in it gives it one (docs/device.md)",
            )
        self._pictures = self._pictures % 0xFFFF_FFFF + 1
        self.core.ask_picture(self._pictures, self._clock())
        while True:
            event = self._next_event()
            if isinstance(event, Pictured):
                return event.pixels
            if isinstance(event, NoPicture):
                raise event.error

    def _turn(self, source: Iterator[tuple[int, bytes, Mapping[str, int]]]) -> Finished | Failed | None:
        """Send what there is room for, take what has been decided, or else read; how it ended."""
        try:
            self._hand_over(source)
            self._write()
            end = self._collect()
            if end is None and not self._outcomes:
                self._read()
        except LinkError as error:
            self.core.disconnected()
            self._collect()
            end = Failed(error)
        return end

    def _hand_over(self, source: Iterator[tuple[int, bytes, Mapping[str, int]]]) -> None:
        """Images from the caller, while the device has room for them."""
        while self.core.wants_images:
            with _CallersTime(self.core, self._clock):
                image = next(source, None)
            if image is None:
                self.core.finish()
            else:
                index, rows, controls = image
                self.core.offer(index, rows, self._clock(), controls)

    def _collect(self) -> Finished | Failed | None:
        """Outcomes that the core has decided; the end, where it has come to one."""
        end = None
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Received | Lost):
                self._outcomes.append(event)
            elif isinstance(event, Finished | Failed):
                end = event
        return end

    def _next_event(
        self,
    ) -> Connected | Failed | Finished | Statistics | NoStatistics | Pictured | NoPicture:
        """The next event that is no outcome; outcomes wait for the next stream."""
        while True:
            while (event := self.core.next_event()) is not None:
                if not isinstance(event, Received | Lost):
                    return event
                self._outcomes.append(event)
            try:
                self._write()
                self._read()
            except LinkError:
                self.core.disconnected()
                raise

    def _write(self) -> None:
        while data := self.core.data_to_send():
            self._port.write(data)

    def _read(self) -> None:
        """Read once; the port's read waits a short time."""
        data = read_waiting(self._port)
        if data:
            self.core.receive_data(data, self._clock())
        else:
            self.core.handle_timeout(self._clock())


class _CallersTime:
    """While the caller has the word, nothing is read: the device cannot help that time."""

    def __init__(self, core: LinkCore, clock: Callable[[], float]) -> None:
        self._core, self._clock = core, clock

    def __enter__(self) -> None:
        self._began_s = self._clock()

    def __exit__(self, *_: object) -> None:
        self._core.paused(self._clock() - self._began_s)
