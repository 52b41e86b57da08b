"""Losses between device and line that leave splices: the head of one frame and the tail of a later one.

Kinds: `frame`, as many bytes as the frame has in which they begin; `period`, from a place in one CODES
frame to the same place in the next; `64` and `512`, small multiples of a USB packet and of a receive
buffer; `header` and `codes`, from a place in the header or the codes of one frame to the same place in a
later CODES frame, before COBS, so that what is left is always a frame. Every header byte has its turn.
"""

from __future__ import annotations

import random
from collections import Counter

from cobs import cobs

HELLO, CODES = 0x81, 0x82
SPLICES = ("period", "header", "codes")
KINDS = ("frame", "64", "512", *SPLICES)
_HEADER = 16


class LossyPort:
    """A port that loses bytes of what the device sends.

    Args:
        rate: losses per frame of the device. kinds: which; splices begin at CODES frames only.

    Attributes:
        happened: losses by kind. spliced: requests named by the header of a frame that was spliced.
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, port, rate: float, seed: int, kinds: tuple[str, ...] = KINDS
    ) -> None:
        self._port, self._rate, self._random, self._kinds = port, rate, random.Random(seed), kinds
        self._half, self._ready = bytearray(), bytearray()
        self._skip = 0  # bytes still to lose
        self._head: bytes | None = None  # what is left of a frame, until its tail is that of a later one
        self._raw = False  # it is before COBS
        self._wait = 0  # CODES frames to swallow before the tail comes
        self._turn = 0
        self.happened: Counter[str] = Counter()
        self.spliced: set[int] = set()
        self.url = "lossy"

    @property
    def in_waiting(self) -> int:
        self._pump()
        return len(self._ready)

    def read(self, size: int = 1, /) -> bytes:
        self._pump()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def write(self, data: bytes, /) -> int:
        return self._port.write(data)

    def close(self) -> None:
        self._port.close()

    def stop(self) -> None:
        """No more losses."""
        self._rate, self._skip, self._head = 0.0, 0, None

    def forget(self) -> None:
        """The board was reset: nothing is left of what it was sending."""
        self._half.clear()
        self._head = None

    def _pump(self) -> None:
        while waiting := self._port.in_waiting:
            self._half += self._port.read(waiting)
            while (end := self._half.find(0)) >= 0:
                frame = bytes(self._half[: end + 1])
                del self._half[: end + 1]
                self._ready += self._pass(frame)

    def _pass(self, frame: bytes) -> bytes:
        """What is left of a frame with its delimiter."""
        if len(frame) == 1:
            return frame
        raw = cobs.decode(frame[:-1])
        if self._head is not None:
            return self._swallow(frame, raw)
        if raw[1] == HELLO:
            self._skip = 0  # the line was silent: what is lost was lost before
        if self._skip:
            lost = min(self._skip, len(frame))
            self._skip -= lost
            return frame[lost:]
        if self._random.random() >= self._rate:
            return frame
        return self._lose(frame, raw)

    def _lose(self, frame: bytes, raw: bytes) -> bytes:
        kind = self._random.choice(self._kinds)
        if kind in SPLICES and raw[1] != CODES:
            return frame
        self.happened[kind] += 1
        at = self._random.randrange(1, len(frame))
        if kind in ("frame", "64", "512"):
            lost = len(frame) if kind == "frame" else int(kind) * self._random.randint(1, 4)
            self._skip = lost - min(lost, len(frame) - at)
            return frame[:at] + frame[at + lost :]
        self._raw, self._wait = kind != "period", self._random.randint(0, 2)
        if kind == "header":
            at = self._turn = self._turn % _HEADER + 1
        elif kind == "codes":
            at = self._random.randrange(_HEADER + 1, len(raw) - 4)
        self._head = (raw if self._raw else frame)[:at]
        self.spliced.add(int.from_bytes(raw[8:12], "little"))
        return b""

    def _swallow(self, frame: bytes, raw: bytes) -> bytes:
        """Frames between head and tail are lost."""
        assert self._head is not None
        if (
            raw[1] == HELLO
        ):  # no images are under way any more: what there is of the head stands torn on the line
            torn, self._head = self._head, None
            return (b"" if self._raw else torn + b"\0") + frame
        if raw[1] != CODES:
            return b""
        if self._wait:
            self._wait -= 1
            return b""
        head, self._head = self._head, None
        if self._raw:
            return cobs.encode(head + raw[len(head) :]) + b"\0"
        return head + frame[len(head) :]
