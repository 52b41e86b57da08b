"""One direction of a bad line: bytes in, bytes out later, changed by seeded faults; no port and no clock."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Mapping

from semflash.link.faults.log import FaultLog
from semflash.link.faults.spec import KINDS, Fault

#: A frame longer than that is passed on in parts.
_FRAME_MAX = 16384
#: Bytes that a paced line delivers at a time, as a USB serial converter does.
_PACED_PIECE = 64
_BITS_PER_BYTE = 10  # start, 8 data, stop
_JOIN_S = 0.02


class FaultLine:
    """Applies faults to a stream.

    Args:
        direction: "up" or "down", for the log. faults: of this direction, by kind. seed: any text or number.
        baud: paces the bytes; None: they arrive at once.
        reset: resets the board. disconnect: takes the port away for that many seconds.

    Memory: a frame of at most 16 KiB, and what is not yet due.
    """

    def __init__(
        self,
        direction: str,
        faults: Mapping[str, Fault],
        seed: str | int,
        log: FaultLog,
        *,
        baud: int | None = None,
        reset: Callable[[], None] | None = None,
        disconnect: Callable[[float], None] | None = None,
    ) -> None:
        self.direction, self._log = direction, log
        self._faults = {kind: fault for kind, fault in faults.items() if fault.rate > 0}
        self._random = random.Random(f"{seed}/{direction}")
        self._byte_s = _BITS_PER_BYTE / baud if baud else 0.0
        self._reset, self._disconnect = reset, disconnect
        self._by_frame = any(KINDS[kind].per == "frame" for kind in self._faults)
        self._by_piece = any(KINDS[kind].per == "piece" for kind in self._faults)
        self._next_at = {
            kind: self._gap(kind) for kind in ("flip", "burst", "drop", "insert") if kind in faults
        }
        self._once: set[str] = set()
        self._frame = bytearray()
        self._offset = 0  # bytes that entered
        self._skip = 0  # bytes still to drop
        self._burst = 0  # bytes still to scramble
        self._queue: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._joined = bytearray()
        self._join_due = 0.0
        self._free_s = 0.0  # when the line has sent all it has
        self._stalled_until = 0.0
        self.frames = 0

    def stop(self) -> None:
        """From now on bytes pass unchanged."""
        self._faults = {}
        self._by_frame = self._by_piece = False
        self._next_at = {}
        self._skip = self._burst = 0

    def once(self, kind: str, amount: float = 0.0) -> None:
        """One fault of that kind at the next chance."""
        self._faults[kind] = Fault(1.0, amount)
        self._once.add(kind)
        if KINDS[kind].per in ("bit", "byte"):
            self._next_at[kind] = self._offset * (8 if kind == "flip" else 1)
        self._by_frame |= KINDS[kind].per == "frame"
        self._by_piece |= KINDS[kind].per == "piece"

    def _happened(self, kind: str) -> None:
        """A fault that was wanted once is wanted no more."""
        if kind in self._once:
            self._once.discard(kind)
            del self._faults[kind]
            self._next_at.pop(kind, None)

    def clear(self) -> None:
        """Forget what is on the line."""
        self._frame.clear()
        self._queue.clear()
        self._joined.clear()
        self._free_s = self._stalled_until = 0.0

    def drop_held(self, now: float) -> None:
        """Forget frames that are delayed."""
        self._queue = [item for item in self._queue if item[0] <= now]
        heapq.heapify(self._queue)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes that the sender gives to the line at `now` (seconds)."""
        if not self._by_frame:
            if self._frame:
                data = bytes(self._frame) + data
                self._frame.clear()
            self.frames += data.count(0)
            self._bytes(data, now)
            return
        begin = 0
        while (end := data.find(b"\0", begin)) >= 0:
            self._frame += data[begin : end + 1]
            begin = end + 1
            frame = bytes(self._frame)
            self._frame.clear()
            self.frames += 1
            if not self._whole_frame(frame, now):
                self._offset += len(data) - begin
                return  # what follows was never sent
        self._frame += data[begin:]
        if len(self._frame) > _FRAME_MAX:
            self._bytes(bytes(self._frame), now)
            self._frame.clear()

    def take(self, now: float) -> bytes:
        """The next piece that has arrived by `now`; b"": nothing."""
        if self._joined and now >= self._join_due:
            self._push(bytes(self._joined), now)
            self._joined.clear()
        if self._queue and self._queue[0][0] <= now and now >= self._stalled_until:
            return heapq.heappop(self._queue)[2]
        return b""

    @property
    def due(self) -> float | None:
        """When `take` will have something; None: not before more is fed."""
        times = [self._queue[0][0]] if self._queue else []
        times += [self._join_due] if self._joined else []
        return max(min(times), self._stalled_until) if times else None

    def _roll(self, kind: str) -> Fault | None:
        """The fault of that kind if it happens now."""
        fault = self._faults.get(kind)
        if fault is None or self._random.random() >= fault.rate:
            return None
        self._happened(kind)
        return fault

    def _whole_frame(self, frame: bytes, now: float) -> bool:
        """Faults of one frame, its delimiter included; False: the sender was cut off after it."""
        if self._roll("reset") and self._reset is not None:
            return self._reset_within(frame, now)
        if (fault := self._roll("disconnect")) and self._disconnect is not None:
            self._note(now, "disconnect", for_s=fault.amount)
            self._offset += len(frame)
            self._disconnect(fault.amount)
            return False
        if fault := self._roll("stall"):
            self._note(now, "stall", for_s=fault.amount)
            self._stalled_until = max(self._stalled_until, now + fault.amount)
        if self._roll("lose"):
            self._note(now, "lose", bytes=len(frame))
            self._offset += len(frame)
            return True
        if fault := self._roll("delay"):
            self._note(now, "delay", for_s=fault.amount, bytes=len(frame))
            self._offset += len(frame)
            heapq.heappush(self._queue, (now + fault.amount, next(self._order), frame))
            return True
        twice = self._roll("duplicate") is not None
        if twice:
            self._note(now, "duplicate", bytes=len(frame))
        self._bytes(frame, now)
        if twice:
            self._send(frame, now)
        return True

    def _reset_within(self, frame: bytes, now: float) -> bool:
        """The board is reset while this frame is on the line."""
        assert self._reset is not None
        cut = self._random.randrange(len(frame))
        self._note(now, "reset", cut=cut)
        self._offset += len(frame)
        if self.direction == "up":
            self._send(frame[:cut], now)
            self._reset()
            return False
        self.clear()  # what a reset overtakes on its way to the board is lost, as in a receive queue
        self._reset()
        self._send(frame[cut:], now)
        return True

    def _bytes(self, data: bytes, now: float) -> None:
        """Faults of single bits and bytes, then on to the line."""
        base = self._offset
        self._offset += len(data)
        if not self._next_at and not self._skip and not self._burst:
            self._send(data, now)
            return
        out = bytearray()
        at = 0
        while at < len(data):
            at = self._carry_on(data, at, out)
            if at >= len(data):
                break
            kind, where = self._next_event()
            stop = min(len(data), where - base) if kind else len(data)
            if stop > at:
                out += data[at:stop]
                at = stop
            if kind and where - base < len(data):
                at = self._event(kind, where, data, at, out, now)
        self._send(bytes(out), now)

    def _carry_on(self, data: bytes, at: int, out: bytearray) -> int:
        """A drop or burst that is under way."""
        if self._skip:
            n = min(self._skip, len(data) - at)
            self._skip -= n
            at += n
        if self._burst and at < len(data):
            n = min(self._burst, len(data) - at)
            self._burst -= n
            out += bytes(byte ^ self._random.randrange(256) for byte in data[at : at + n])
            at += n
        return at

    def _next_event(self) -> tuple[str, int]:
        """(kind, byte offset) of the nearest fault to come; ("", 0): none."""
        if not self._next_at:
            return "", 0
        kind = min(self._next_at, key=self._where)
        return kind, self._where(kind)

    def _where(self, kind: str) -> int:
        return self._next_at[kind] // 8 if kind == "flip" else self._next_at[kind]

    def _event(self, kind: str, where: int, data: bytes, at: int, out: bytearray, now: float) -> int:
        """Do the fault at byte `where`; the next position in data. One within a run of another is none."""
        fault = self._faults[kind]
        late = where - (self._offset - len(data)) < at
        if kind == "flip":
            bits = 0
            while "flip" in self._next_at and self._where("flip") == where:
                bits |= 1 << self._next_at["flip"] % 8
                self._next_at["flip"] += 1 + self._gap("flip")
                if "flip" in self._once:
                    break  # one bit was wanted, at rate 1
            if not late:
                self._note(now, "flip", where, bits=bits)
                self._happened("flip")
                out.append(data[at] ^ bits)
                return at + 1
            return at
        self._next_at[kind] = where + 1 + self._gap(kind)
        if late:
            return at
        self._note(now, kind, where, bytes=int(fault.amount))
        self._happened(kind)
        if kind == "drop":
            self._skip = int(fault.amount)
        elif kind == "burst":
            self._burst = int(fault.amount)
        else:
            out += self._random.randbytes(int(fault.amount))
        return at

    def _gap(self, kind: str) -> int:
        """Units without that fault before the next one (geometric distribution)."""
        rate = self._faults[kind].rate if kind in self._faults else 0.0
        if rate >= 1.0:
            return 0
        if rate <= 0.0:
            return 1 << 60
        return int(math.log(1.0 - self._random.random()) / math.log1p(-rate))

    def _send(self, data: bytes, now: float) -> None:
        """Cut and join pieces."""
        if not data:
            return
        if not self._by_piece:
            self._push(data, now)
            return
        pieces = [data]
        if len(data) > 1 and self._roll("split"):
            cut = self._random.randrange(1, len(data))
            self._note(now, "split", cut=cut)
            pieces = [data[:cut], data[cut:]]
        for piece in pieces:
            self._joined += piece
            if self._roll("join"):
                self._note(now, "join", bytes=len(self._joined))
                self._join_due = now + _JOIN_S
            else:
                self._push(bytes(self._joined), now)
                self._joined.clear()

    def _push(self, data: bytes, now: float) -> None:
        """On to the line, at its speed."""
        if not self._byte_s:
            heapq.heappush(self._queue, (now, next(self._order), data))
            return
        self._free_s = max(self._free_s, now)
        for start in range(0, len(data), _PACED_PIECE):
            piece = data[start : start + _PACED_PIECE]
            self._free_s += len(piece) * self._byte_s
            heapq.heappush(self._queue, (self._free_s, next(self._order), piece))

    def _note(self, now: float, kind: str, offset: int | None = None, **more: float) -> None:
        self._log.add(now, self.direction, self._offset if offset is None else offset, kind, **more)
