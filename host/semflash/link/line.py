"""Frames over a port: the layer between bytes and the session."""

from __future__ import annotations

import secrets
from collections import deque

from semflash.link.counters import LinkCounters
from semflash.link.frame import EARLIER_VERSIONS, Event, Frame, FrameDecoder, FrameType, encode_frame
from semflash.link.port import Port

_READ_BYTES = 4096


class Line:
    """Sends frames with running sequence numbers, hands out received ones. `counters` may be replaced.

    session: u32 in this line's HELLO_REQUESTs; the device repeats it in HELLO, and starts to count a
    session's frame numbers anew when it changes.
    """

    def __init__(self, port: Port) -> None:
        self.counters = LinkCounters()
        self._port = port
        self._decoder = FrameDecoder()
        self._events: deque[Event] = deque()
        self._sequence = 0
        self.session = 1 + secrets.randbelow(0xFFFF_FFFF)

    def next_event(self) -> Event | None:
        """The next event; None when a read brought no whole frame. Waits as long as the port's read does."""
        if not self._events:
            data = self._port.read(max(1, min(self._port.in_waiting, _READ_BYTES)))
            self.counters.bytes_received += len(data)
            self._events.extend(self._decoder.feed(data))
        return self._events.popleft() if self._events else None

    def send(
        self, kind: FrameType, payload: bytes = b"", *, request: int = 0, bundle: int = 0
    ) -> tuple[int, int]:
        """Write one frame; returns its number and its bytes on the line."""
        number = self._sequence
        data = encode_frame(Frame(kind, payload, number, bundle, request))
        if kind == FrameType.HELLO_REQUEST:
            data = b"\0" + data  # ends whatever half frame an earlier host left in the device
        self._sequence = (number + 1) & 0xFFFF
        self._write(data)
        return number, len(data)

    def ask_hello(self) -> None:
        """Send HELLO_REQUEST of this session."""
        self.send(FrameType.HELLO_REQUEST, request=self.session)

    def ask_hello_of_earlier(self) -> None:
        """Send HELLO_REQUEST of every earlier protocol version: a device that speaks one says so."""
        for version in EARLIER_VERSIONS:
            self._write(b"\0" + encode_frame(Frame(FrameType.HELLO_REQUEST), version=version))

    def _write(self, data: bytes) -> None:
        self._port.write(data)
        self.counters.frames_sent += 1
        self.counters.bytes_sent += len(data)
