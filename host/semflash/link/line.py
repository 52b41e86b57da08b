"""Frames over a port: for one question to whatever firmware runs there."""

from __future__ import annotations

from collections import deque

from semflash.link.core.frame_stream import FrameStream
from semflash.link.counters import LinkCounters
from semflash.link.frame import Event, FrameType
from semflash.link.fresh_numbers import fresh_number
from semflash.link.port import Port, read_waiting


class Line:
    """Sends frames with running sequence numbers, hands out received ones.

    session: u32 in this line's HELLO_REQUESTs; the device repeats it in HELLO.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._frames = FrameStream(fresh_number())
        self._events: deque[Event] = deque()
        self.session = self._frames.session

    @property
    def counters(self) -> LinkCounters:
        """Bytes and frames so far."""
        return self._frames.counters

    def next_event(self) -> Event | None:
        """The next event; None when a read brought no whole frame. Waits as long as the port's read does."""
        if not self._events:
            self._events.extend(self._frames.receive(read_waiting(self._port)))
        return self._events.popleft() if self._events else None

    def send(
        self, kind: FrameType, payload: bytes = b"", *, request: int = 0, bundle: int = 0
    ) -> tuple[int, int]:
        """Write one frame; returns its number and its bytes on the line."""
        sent = self._frames.send(kind, payload, request=request, bundle=bundle)
        self._write()
        return sent

    def ask_hello(self) -> None:
        """Send HELLO_REQUEST of this session."""
        self._frames.ask_hello()
        self._write()

    def ask_hello_of_earlier(self) -> None:
        """Send HELLO_REQUEST of every earlier protocol version: a device that speaks one says so."""
        self._frames.ask_hello_of_earlier()
        self._write()

    def _write(self) -> None:
        while data := self._frames.data_to_send():
            self._port.write(data)
