"""The sender's side of credit: which ROWS frames are under way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

#: Bytes under way at most: less than the 4,096 a pseudo terminal holds, so neither side waits for the other.
IN_FLIGHT_BYTES = 3500


@dataclass(frozen=True)
class Underway:
    """A ROWS frame without credit: its number, bytes on the line, and image."""

    sequence: int
    wire_bytes: int
    request: int


class Window:
    """ROWS frames since HELLO that no CREDIT has acknowledged.

    CREDIT names the last ROWS frame that the device took. The line keeps the order, so all that were sent
    before that one have been taken too or are lost: either way they are under way no more, and a lost frame
    does not narrow the window.
    """

    def __init__(self) -> None:
        self._frames: deque[Underway] = deque()
        self._bytes = self._credit = 0

    def restart(self) -> None:
        """A new HELLO: nothing is under way."""
        self._frames.clear()
        self._bytes = self._credit = 0

    def takes(self, wire_bytes: int, most_frames: int) -> bool:
        """Whether a frame of that size may go out to a device that holds `most_frames`."""
        if not self._frames:
            return True
        return len(self._frames) < most_frames and self._bytes + wire_bytes <= IN_FLIGHT_BYTES

    def sent(self, frame: Underway) -> None:
        """A frame went out."""
        self._frames.append(frame)
        self._bytes += frame.wire_bytes

    def credit(self, count: int, sequence: int) -> Underway | None:
        """CREDIT came.

        Args:
            count: ROWS frames that the device took since HELLO. sequence: number of the last one.

        Returns:
            that frame; None where it is not under way (an old or forged CREDIT).
        """
        if all(frame.sequence != sequence for frame in self._frames):
            return None
        frame = self._take()
        while frame.sequence != sequence:
            frame = self._take()
        self._credit = count
        return frame

    def answered(self, request: int) -> None:
        """Codes came: the device has taken all frames of their image and before, CREDIT or not."""
        while any(frame.request == request for frame in self._frames):
            self._take()

    def _take(self) -> Underway:
        frame = self._frames.popleft()
        self._bytes -= frame.wire_bytes
        return frame

    def went_back(self, count: int) -> bool:
        """Whether `count` of a CREDIT for a frame under way shows that the device forgot the earlier ones."""
        return count <= self._credit
