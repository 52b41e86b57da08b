"""What really happened on the device's side of a bad line: every frame it sent, and which of them reached
the host.

It stands beside the code under test: it reads the device's own output before any fault, and is told of
every frame that the host's decoder delivered. What the session's counters say is compared with it.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cobs import cobs

from semflash.link.frame import Frame

CODES = 0x82
_KEPT = 4_000  # emitted frames by which a received one is known again


class DevicePort:
    """The real device's port; every frame of the device passes `Truth` before it meets a fault."""

    def __init__(self, port, truth: Truth, reset: Callable[[], None]) -> None:  # type: ignore[no-untyped-def]
        self._port, self._truth, self._reset = port, truth, reset
        self._half = bytearray()
        self.url = "truth"

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        data = self._port.read(size)
        begin = 0
        while (end := data.find(b"\0", begin)) >= 0:
            self._half += data[begin:end]
            begin = end + 1
            if self._half:
                self._truth.emitted(cobs.decode(bytes(self._half)))
                self._half.clear()
        self._half += data[begin:]
        return data

    def write(self, data: bytes, /) -> int:
        return self._port.write(data)

    def close(self) -> None:
        self._port.close()

    def reset(self) -> None:
        """Reset the board, unless the host does not know of the last reset yet: one it can never learn of."""
        if self._truth.may_reset:
            self._half.clear()
            self._reset()
            self._truth.was_reset()


@dataclass
class Life:
    """From one reset of the device to the next.

    Attributes:
        first: the first frame that counts. sent: frames that left the device. arrived: those that came, by
            number.
    """

    first: int = 0
    sent: int = 0
    newest: int = -1
    arrived: set[int] = field(default_factory=set)


class Truth:
    """Sums over all lives of the device."""

    def __init__(self) -> None:
        self._lives = [Life()]
        self._host_life = 0  # the life of the last frame that came
        self.may_reset = False
        self.resets = 0
        self.lost = self.duplicates = self.reordered = self.unknowable = self.came = 0
        self.emitted_all = 0
        self.codes: dict[int, bytes] = {}
        self._keys: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._order: deque[tuple[tuple[int, int, int], tuple[int, int]]] = deque()

    @property
    def sent(self) -> int:
        """Frames since the last reset."""
        return self._lives[-1].sent

    def emitted(self, raw: bytes) -> None:
        """The device sent a whole frame."""
        _, kind, sequence, _, request, length = struct.unpack_from("<BBHIIH", raw)
        life = self._lives[-1]
        assert sequence == life.sent & 0xFFFF, "the device's own numbers have a gap"
        key, value = (sequence, kind, request), (len(self._lives) - 1, life.sent)
        self._keys[key] = value
        self._order.append((key, value))
        life.sent += 1
        self.emitted_all += 1
        if kind == CODES:
            self.codes[request] = raw[16 : 16 + length]
            if len(self.codes) > _KEPT:
                del self.codes[next(iter(self.codes))]
        if len(self._order) > _KEPT:
            old, was = self._order.popleft()
            if self._keys.get(old) == was:
                del self._keys[old]

    def delivered(self, frame: Frame) -> None:
        """The host's decoder delivered a frame."""
        number_of_life, number = self._keys[frame.sequence, int(frame.type), frame.request]
        assert number_of_life >= self._host_life, "a frame of an earlier life came after one of a later life"
        while self._host_life < number_of_life:
            self._close(self._lives[self._host_life])
            self._host_life += 1
        life = self._lives[number_of_life]
        if number < life.first:
            return
        self.came += 1
        if number in life.arrived:
            self.duplicates += 1
            return
        self.reordered += number < life.newest
        life.arrived.add(number)
        life.newest = max(life.newest, number)

    def begin(self, first: int) -> None:
        """The session counts from this frame on; it has come."""
        life = self._lives[-1]
        life.first = life.newest = first
        life.arrived = {first}
        self.lost = self.duplicates = self.reordered = self.unknowable = 0
        self.came = self.emitted_all = 1
        self.may_reset = True

    def was_reset(self) -> None:
        """The board starts over."""
        self.resets += 1
        self._lives.append(Life())
        self.may_reset = False

    def finish(self) -> None:
        """No more will come."""
        for life in self._lives[self._host_life :]:
            self._close(life)

    def _close(self, life: Life) -> None:
        """After the newest frame that came nobody can know what was sent: no later number shows it."""
        self.lost += life.newest + 1 - life.first - len(life.arrived)
        self.unknowable += life.sent - (life.newest + 1)
        life.arrived = set()
