"""Bytes to frames and frames to bytes, with numbers and counts; no port."""

from __future__ import annotations

from collections import deque

from semflash.link.counters import LinkCounters
from semflash.link.frame import EARLIER_VERSIONS, Event, Frame, FrameDecoder, FrameType, encode_frame


class FrameStream:
    """Both directions of a line: received bytes become events, frames become bytes that wait to go out.

    Args:
        session: u32, not 0, in this host's HELLO_REQUESTs. The device repeats it in HELLO, and starts to
            count a session's frame numbers anew when it changes.

    Attributes:
        counters: bytes both ways and frames sent are counted here; may be replaced.
    """

    def __init__(self, session: int) -> None:
        self.session = session
        self.counters = LinkCounters()
        self._decoder = FrameDecoder()
        self._sequence = 0
        self._unsent: deque[bytes] = deque()  # one frame each; the first one may be the rest of a frame

    def receive(self, data: bytes) -> list[Event]:
        """Take received bytes; the events of the frames that ended in them, in order."""
        self.counters.bytes_received += len(data)
        return self._decoder.feed(data)

    def send(
        self, kind: FrameType, payload: bytes = b"", *, request: int = 0, bundle: int = 0
    ) -> tuple[int, int]:
        """One frame is to go out; returns its number and its bytes on the line."""
        number = self._sequence
        data = encode_frame(Frame(kind, payload, number, bundle, request))
        if kind == FrameType.HELLO_REQUEST:
            data = b"\0" + data  # ends whatever half frame an earlier host left in the device
        self._sequence = (number + 1) & 0xFFFF
        self._unsent.append(data)
        return number, len(data)

    def ask_hello(self) -> None:
        """HELLO_REQUEST of this session is to go out."""
        self.send(FrameType.HELLO_REQUEST, request=self.session)

    def ask_hello_of_earlier(self) -> None:
        """HELLO_REQUEST of every earlier protocol version: a device that speaks one says so."""
        for version in EARLIER_VERSIONS:
            self._unsent.append(b"\0" + encode_frame(Frame(FrameType.HELLO_REQUEST), version=version))

    def data_to_send(self, most: int | None = None) -> bytes:
        """The next frame that waits to go out, or its first `most` bytes; b"": nothing waits."""
        if not self._unsent:
            return b""
        data = self._unsent.popleft()
        if most is not None and most < len(data):
            self._unsent.appendleft(data[most:])
            data = data[:most]
        else:
            self.counters.frames_sent += 1
        self.counters.bytes_sent += len(data)
        return data

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait to go out."""
        return sum(len(data) for data in self._unsent)

    def forget_unsent(self) -> None:
        """The line is gone, and with it what waited to go out."""
        self._unsent.clear()
