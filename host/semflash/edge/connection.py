"""One device over one port after another: when the cable comes back, the images under way are sent again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from semflash.errors import DeviceError, LinkError, WrongFirmwareError
from semflash.link.counters import LinkCounters
from semflash.link.errors import PortVanishedError
from semflash.link.messages import Hello, LinkStats
from semflash.link.pixels import Image
from semflash.link.port import Port
from semflash.link.session import Expected, Lost, Outcome, Session

#: An image that was under way each time the port vanished is given up after so many connections.
CONNECTIONS_PER_IMAGE = 3
_LOOK_EVERY_S = 0.5
_NAP_S = 0.05

Report = Callable[[str, str, dict[str, object]], None]


class WatchedPort:
    """A port that calls `tick` around every read, about twenty times per second, and counts bytes."""

    def __init__(self, port: Port, tick: Callable[[], None]) -> None:
        self._port, self._tick = port, tick
        self.bytes_down = self.bytes_up = 0
        self.heard_s = time.monotonic()

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        data = self._port.read(size)
        if data:
            self.heard_s = time.monotonic()
            self.bytes_down += len(data)
        self._tick()
        return data

    def write(self, data: bytes, /) -> int | None:
        self.bytes_up += len(data)
        return self._port.write(data)

    def close(self) -> None:
        self._port.close()


class Connection:
    """A session that outlives its port.

    Args:
        port: open port; closed by :meth:`close` if it was opened here.
        reopen: opens the port of the same board again, or raises LinkError or DeviceError; None: never.
        reconnect_s: how long it is tried.
        controls: what images are encoded with, by the controls' names.
    """

    def __init__(
        self,
        port: Port,
        expected: Expected,
        *,
        timeout_s: float,
        reopen: Callable[[], Port] | None = None,
        reconnect_s: float = 0.0,
        controls: Mapping[str, int] | None = None,
    ) -> None:
        self._controls = dict(controls or {})
        self._expected, self._timeout_s = expected, timeout_s
        self._tick: Callable[[], None] = lambda: None
        self._report: Report = lambda kind, text, values: None
        self._reopen, self._reconnect_s = reopen, reconnect_s
        self._ended = LinkCounters()
        self._opened: Port | None = None
        self.hello: Hello | None = None
        self.reconnects = 0
        self.away = False
        self._use(port)

    def watch(self, tick: Callable[[], None], report: Report) -> None:
        """Call `tick` often, also while nothing comes (it may raise, to end the run), and tell `report`
        (kind, text, values) when the port vanishes and when it is back."""
        self._tick, self._report = tick, report

    def _use(self, port: Port) -> None:
        self.port = WatchedPort(port, lambda: self._tick())
        self.where = str(getattr(port, "url", None) or getattr(port, "name", ""))
        self.session = Session(self.port, self._expected, timeout_s=self._timeout_s)
        self.session.set_controls(self._controls)

    @property
    def counters(self) -> LinkCounters:
        """Of all sessions so far."""
        return self._ended if self.away else added(self._ended, self.session.counters)

    def connect(self) -> Hello:
        """HELLO of this session. Errors: as :meth:`Session.connect`."""
        self.hello = self.session.connect()
        return self.hello

    def set_controls(self, values: Mapping[str, int]) -> None:
        """Encode with these values from the next image handed in on, over all connections to come.

        Raises: as :meth:`Session.set_controls`.
        """
        self.session.set_controls(values)
        self._controls.update(values)

    def stream(self, images: Iterable[Image]) -> Iterator[Outcome]:
        """One outcome per image, over as many connections as it takes.

        Raises:
            LinkError: as :meth:`Session.stream`; the port vanished and did not come back in time.
            WrongFirmwareError: it came back with another bundle.
        """
        open_images: dict[int, Image] = {}
        sendings: dict[int, int] = {}

        def handed_out(source: Iterable[Image]) -> Iterator[Image]:
            for image in source:
                open_images[image[0]] = image
                yield image

        waiting = iter(images)
        again: list[Image] = []
        while True:
            try:
                for outcome in self.session.stream(handed_out(chain(again, waiting))):
                    open_images.pop(outcome.index, None)
                    sendings.pop(outcome.index, None)
                    yield outcome
                return
            except PortVanishedError as error:
                if self._reopen is None or self._reconnect_s <= 0:
                    raise
                for index in open_images:
                    sendings[index] = sendings.get(index, 0) + 1
                given_up = [i for i, tries in sendings.items() if tries >= CONNECTIONS_PER_IMAGE]
                for index in given_up:
                    del open_images[index]
                    yield Lost(index, sendings.pop(index))
                again = list(open_images.values())
                self._reconnect(error, len(again), len(given_up))

    def link_stats(self) -> LinkStats | None:
        """The device's own counts; None where it does not tell."""
        try:
            return self.session.link_stats()
        except LinkError:
            return None

    def close(self) -> None:
        """Close a port that was opened here; the first one is the caller's."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _reconnect(self, error: PortVanishedError, under_way: int, given_up: int) -> None:
        """Wait until the board answers HELLO on some port again."""
        began, before, old_where = time.monotonic(), self.hello, self.where
        ended = self.session.counters
        self._ended, self.away = self.counters, True
        self.port.close()
        losses = f"{_images(under_way)} under way" + (f", {_images(given_up)} given up" if given_up else "")
        values: dict[str, object] = {"port": old_where, "under_way": under_way, "given_up": given_up}
        self._report("disconnected", f"{old_where or 'the port'} vanished with {losses}", values)
        self._wait(error, began)
        self.away = False
        self.reconnects += 1
        assert before is not None and self.hello is not None
        seconds = time.monotonic() - began
        lost = frames_lost(before, ended, self.hello)
        self._ended.frames_lost += lost or 0
        text = f"back on {self.where or 'the port'} after {seconds:.1f} s, {_images(under_way)} sent again"
        if lost is None:
            text += "; the board was reset meanwhile"
        elif lost:
            text += f"; {lost} frame{'s' * (lost != 1)} of the board got lost with the cable"
        if self.hello.build_id != before.build_id:
            text += f"; it runs build {self.hello.build_id:08x} now, it ran {before.build_id:08x}"
        values = {
            "port": self.where,
            "away_s": round(seconds, 3),
            "sent_again": under_way,
            "board_reset": lost is None,
            "frames_lost": lost,
            "build_id": f"{self.hello.build_id:08x}",
            "reset_cause": self.hello.reset_cause,
        }
        self._report("reconnected", text, values)

    def _wait(self, error: PortVanishedError, began: float) -> None:
        assert self._reopen is not None
        last: LinkError | DeviceError = error
        while time.monotonic() - began < self._reconnect_s:
            try:
                self._opened = self._reopen()
                self._use(self._opened)
                self.connect()
                return
            except WrongFirmwareError:
                raise
            except (LinkError, DeviceError) as failed:
                last = failed
                self.close()
            looked = time.monotonic()
            while time.monotonic() - looked < _LOOK_EVERY_S:
                self._tick()
                time.sleep(_NAP_S)
        raise PortVanishedError(
            f"the port vanished and did not come back within {self._reconnect_s:.0f} s",
            value=last.what,
            remedy=error.remedy,
        ) from last


def frames_lost(before: Hello, counters: LinkCounters, after: Hello) -> int | None:
    """Frames that a device sent between two sessions and nobody received; None: it was reset meanwhile.

    Args:
        before: HELLO that began the first session. counters: of that session. after: HELLO of the second.
    """
    came = counters.frames_ok + counters.frames_damaged - counters.frames_duplicate
    due = before.frames_sent + 1 + came + counters.frames_lost
    return after.frames_sent - due if after.frames_sent >= due and not counters.restarts else None


def added(first: LinkCounters, second: LinkCounters) -> LinkCounters:
    """The sum of two sessions' counters, field by field."""
    total = dataclasses.replace(first)
    for part in dataclasses.fields(LinkCounters):
        left, right = getattr(first, part.name), getattr(second, part.name)
        if isinstance(left, dict):
            value: object = {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
        else:
            value = left + right
        setattr(total, part.name, value)
    return total


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
