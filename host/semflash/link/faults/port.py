"""A port behind a bad line: wraps any port, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from semflash.errors import LinkError, UsageError
from semflash.link.errors import PortVanishedError
from semflash.link.faults.line import FaultLine
from semflash.link.faults.log import FaultLog
from semflash.link.faults.spec import FaultSpec
from semflash.link.port import READ_TIMEOUT_S, Port

_READ_BYTES = 4096
_NAP_S = 0.0005


class FaultyPort:
    """A port whose line has the faults of `spec`.

    Args:
        port: the real one. log: where faults are noted. reset: resets the board (needed for the fault
            `reset`).
        clock, sleep: seconds; tests and simulations give their own.

    Raises:
        UsageError: the spec resets a board that cannot be reset.
    """

    def __init__(
        self,
        port: Port,
        spec: FaultSpec,
        *,
        log: FaultLog | None = None,
        reset: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if spec.resets and reset is None:
            raise UsageError(
                "this board cannot be reset from here",
                value="reset",
                remedy="--board native, or the emulated one",
            )
        self.log = log or FaultLog()
        self._port, self._clock, self._sleep, self._began = port, clock, sleep, clock()
        self._reset_board = reset
        self._ready = bytearray()
        self._back_s: float | None = None  # when a port that was pulled is there again
        self._lines = tuple(
            FaultLine(
                *(direction, faults, spec.seed, self.log),
                baud=spec.baud,
                reset=self._reset if reset is not None else None,
                disconnect=self._pull,
            )
            for direction, faults in (("up", spec.up), ("down", spec.down))
        )
        self.url = str(getattr(port, "url", None) or getattr(port, "name", ""))

    @property
    def up(self) -> FaultLine:
        """From the device."""
        return self._lines[0]

    @property
    def down(self) -> FaultLine:
        """To the device."""
        return self._lines[1]

    @property
    def pulled(self) -> bool:
        """A fault has taken the port away."""
        return self._back_s is not None

    def stop(self) -> None:
        """No faults from now on; the port is there again."""
        for line in self._lines:
            line.stop()
        self._back_s = None

    @property
    def in_waiting(self) -> int:
        self._pump()
        return len(self._ready)

    def read(self, size: int = 1, /) -> bytes:
        """At most `size` bytes; waits as long as a serial port does."""
        deadline = self._now() + READ_TIMEOUT_S
        while True:
            self._pump()
            if self._ready or self._now() >= deadline:
                taken = bytes(self._ready[:size])
                del self._ready[:size]
                return taken
            self._wait(deadline)

    def write(self, data: bytes, /) -> int:
        self._require_there()
        self.down.feed(bytes(data), self._now())
        self._pump()
        return len(data)

    def close(self) -> None:
        """Close the real port; one that was pulled by a fault stays, for the reopener."""
        if self._back_s is None:
            self._port.close()

    def reopener(self, inner: Callable[[], Port] | None) -> Callable[[], Port]:
        """What opens the port again after it vanished: by a fault, or in earnest (with `inner`)."""

        def again() -> Port:
            if self._back_s is not None:
                if self._now() < self._back_s:
                    raise LinkError("the port is not there", value=self.url, remedy="wait: a fault took it")
                self._back_s = None
                return self
            if inner is None:
                raise LinkError("the port is not there", value=self.url, remedy="plug the board in again")
            self._port = inner()
            return self

        return again

    def __enter__(self) -> FaultyPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        return self._clock() - self._began

    def _require_there(self) -> None:
        if self._back_s is not None:
            raise PortVanishedError("the port vanished: a fault pulled it", value=self.url, remedy="wait")

    def _pump(self) -> None:
        """Move what has arrived, both ways."""
        self._require_there()
        now = self._now()
        while piece := self.down.take(now):
            self._port.write(piece)
        while (waiting := self._port.in_waiting) and self._back_s is None:
            self.up.feed(self._port.read(min(waiting, _READ_BYTES)), now)
        self._require_there()
        # One piece at a time, so that the reader sees how writes were split and joined.
        if not self._ready:
            self._ready += self.up.take(now)

    def _wait(self, deadline: float) -> None:
        """Until something may have arrived."""
        due = [line.due for line in self._lines]
        nearest = min([deadline, *(time for time in due if time is not None)])
        left = nearest - self._now()
        if self._clock is not time.monotonic:
            self._sleep(max(left, 1e-6))
        elif all(time is None for time in due):
            self.up.feed(self._port.read(1), self._now())
        elif left > 0:
            self._sleep(min(left, _NAP_S))

    def _pull(self, seconds: float) -> None:
        """The cable comes out: what is on the line is lost."""
        self._back_s = self._now() + seconds
        self._lost_on_the_line()

    def _reset(self) -> None:
        """The board starts over: what it had not sent yet, and what a fault holds back, is lost."""
        assert self._reset_board is not None
        self.up.drop_held(self._now())
        while waiting := self._port.in_waiting:
            self._port.read(waiting)
        self._reset_board()

    def _lost_on_the_line(self) -> None:
        for line in self._lines:
            line.clear()
        self._ready.clear()
        while waiting := self._port.in_waiting:
            self._port.read(waiting)
