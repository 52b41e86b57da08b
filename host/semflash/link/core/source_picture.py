"""Pictures of a board's own source: asked by CAPTURE, put together from SOURCE_ROWS. No port, no clock."""

from __future__ import annotations

from semflash.errors import LinkError
from semflash.link.core.events import NoPicture, Pictured
from semflash.link.frame import Frame, FrameType
from semflash.link.messages import ROWS_HEADER
from semflash.link.wire import REFUSALS


class SourcePicture:
    """One picture at a time; a row that is missing or out of turn spoils it.

    Args:
        rows, row_bytes: of an image. timeout_s: without another row for so long it does not come any more.

    Attributes:
        due_s: when it is given up; None: none is asked for.
    """

    def __init__(self, rows: int, row_bytes: int, timeout_s: float) -> None:
        self._rows, self._row_bytes, self._timeout_s = rows, row_bytes, timeout_s
        self._request = 0
        self._pixels = bytearray()
        self.due_s: float | None = None

    def ask(self, request: int, now_s: float) -> None:
        """CAPTURE `request` goes out now; what came of an earlier one is forgotten."""
        self._request, self._pixels, self.due_s = request, bytearray(), now_s + self._timeout_s

    def expects(self, frame: Frame) -> bool:
        """Whether a frame is about the picture that is asked for."""
        return self.due_s is not None and frame.request == self._request

    def take(self, frame: Frame, now_s: float) -> Pictured | NoPicture | None:
        """A frame that it expects; how the picture ended, None: more rows are to come."""
        if frame.type == FrameType.REFUSED:
            reason = REFUSALS.get(frame.payload[0], f"reason {frame.payload[0]}")
            return self._none("the board gave no picture", reason)
        self.due_s = now_s + self._timeout_s
        head, pixels = frame.payload[: ROWS_HEADER.size], frame.payload[ROWS_HEADER.size :]
        first, count = ROWS_HEADER.unpack(head) if len(head) == ROWS_HEADER.size else (0, 0)
        done = len(self._pixels) // self._row_bytes
        if first != done or not 1 <= count <= self._rows - done or len(pixels) != count * self._row_bytes:
            return self._none("rows of the picture were lost on the line", f"row {first} behind {done}")
        self._pixels += pixels
        if done + count < self._rows:
            return None
        self.due_s = None
        return Pictured(bytes(self._pixels))

    def late(self, now_s: float) -> NoPicture | None:
        """The end of a picture that does not come."""
        if self.due_s is None or now_s < self.due_s:
            return None
        done = len(self._pixels) // self._row_bytes
        return self._none("the picture did not come", f"{done} of {self._rows} rows in {self._timeout_s:g} s")

    def paused(self, seconds: float) -> None:
        """The shell took its time, which is not the board's."""
        if self.due_s is not None:
            self.due_s += seconds

    def forget(self) -> None:
        """None is asked for any more."""
        self.due_s = None

    def _none(self, what: str, value: str) -> NoPicture:
        self.due_s = None
        remedy = "look at the sensor and its wiring, then try again"
        return NoPicture(LinkError(what, value=value, remedy=remedy))
