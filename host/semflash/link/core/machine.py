"""The states of a link core, and how it goes from one to another.

    REST --connect--> ASKING --HELLO--> REST
    REST --start----> STREAMING (over ASKING, where nothing is known of the device yet)
    STREAMING --silence, or what came shows a reset--> ASKING --HELLO--> STREAMING
    STREAMING --every image has its outcome--> REST, Finished
    ASKING, STREAMING --no use--> REST, Failed
    any --stop, disconnected, give_up--> REST

Statistics of the link may be asked in every state.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

from semflash.errors import LinkError
from semflash.link.core.asking import Asking
from semflash.link.core.events import Connected, CoreEvent, Failed, Finished, NoStatistics
from semflash.link.core.flight import Flight
from semflash.link.core.sending import SendingSide
from semflash.link.counters import LinkCounters
from semflash.link.errors import StalledError
from semflash.link.frame import Event, Frame, FrameType
from semflash.link.handshake import Expected
from semflash.link.sequence import SequenceLedger


class State(enum.Enum):
    """What a core is doing."""

    REST = "rest"
    ASKING = "asking"
    STREAMING = "streaming"


class Machine(SendingSide):
    """What the core does by itself: when it asks, sends again, gives up and is done.

    Args:
        hello_limit_s: without a frame of the device before it counts as dead.
    """

    def __init__(
        self,
        expected: Expected,
        flight: Flight,
        session: int,
        timeout_s: float,
        hello_limit_s: float,
        tap: Callable[[Frame], None] | None,
    ) -> None:
        super().__init__(expected, flight, session, timeout_s, tap)
        self._hello_limit_s = hello_limit_s
        self._asking: Asking | None = None
        self._streams = False
        self._fresh = False  # the HELLO that is asked begins the accounts anew

    @property
    def state(self) -> State:
        """What the core is doing."""
        if self._asking is not None:
            return State.ASKING
        return State.STREAMING if self._streams else State.REST

    def _tell(self, now_s: float) -> None:
        self._now_s = max(self._now_s, now_s)

    def _begin(self, now_s: float) -> None:
        if self.state is not State.REST:
            raise RuntimeError(f"the core is {self.state.value}: stop it before it begins something else")
        self._tell(now_s)
        self._forget_events(Connected, Finished, Failed)

    def _rest(self) -> None:
        self._asking, self._streams = None, False

    def _forget_events(self, *kinds: type[CoreEvent]) -> None:
        """Forget what became of earlier questions; outcomes of images stay."""
        self._events = deque(event for event in self._events if not isinstance(event, kinds))

    def _look(self, *, idle: bool) -> None:
        """See what is due. idle: nothing waits to be read either."""
        if self._asking is not None:
            self._look_at_asking(self._asking)
        elif self._streams:
            self._release_late()
            if self._start_over or self._is_overdue(idle=idle):
                self._start_anew()
            else:
                self._send_rows()
                self._settle()
        self._look_at_question()
        if (end := self._picture.late(self._now_s)) is not None:
            self._events.append(end)

    def _look_at_asking(self, asking: Asking) -> None:
        if asking.is_over(self._now_s):
            self._fail(asking.failure(self._expected, self._now_s, self.counters.frames_ok))
        elif asking.asks(self._now_s):
            if asking.asks_earlier_versions:
                self._frames.ask_hello_of_earlier()
            self._frames.ask_hello()

    def _look_at_question(self) -> None:
        if self._question is None:
            return
        if self._question.over(self._now_s):
            self._question = None
            remedy = "reset the board and try again"
            self._events.append(
                NoStatistics(LinkError("the device does not tell its link statistics", remedy=remedy))
            )
        elif self._question.asks(self._now_s):
            self._frames.send(FrameType.STATS_REQUEST, bundle=self._expected.hash32)

    def _settle(self) -> None:
        """The end, where every image has its outcome."""
        if self.state is State.STREAMING and self._has_every_outcome:
            self._rest()
            self._events.append(Finished())

    def _start_anew(self) -> None:
        """Ask HELLO, to send everything unanswered again; unless that has been of no use."""
        self._yield.new_start(for_silence=not self._start_over)
        self._start_over = False
        self._patience.disappointed()
        if self._yield.is_over(self._now_s):
            self._fail(
                StalledError(
                    "the device answers HELLO but encodes no image",
                    value=self._yield.account(),
                    remedy="reset or flash the board again; raise [link] timeout_s if it is slow",
                )
            )
            return
        self.counters.resyncs += 1
        self._ask_hello()

    def _ask_hello(self) -> None:
        answer_s = self._patience.answer_s if self.hello is not None else None
        self._asking = Asking(self._now_s, answer_s, self._hello_limit_s, self._timeout_s)
        self._look_at_asking(self._asking)

    def _on_event_while_asking(self, asking: Asking, event: Event) -> None:
        asking.see(event)
        if isinstance(event, Frame) and self._is_answer(event):
            self._on_answer(event)
        else:
            self._on_event(event)
            asking.no_answer(event, self._now_s)

    def _on_answer(self, frame: Frame) -> None:
        """HELLO came: go on with what it was asked for."""
        try:
            hello = self._take_hello(frame)
        except LinkError as error:
            self._fail(error)
            return
        self._asking = None
        if self._fresh:
            self._frames.counters = LinkCounters()
            self._ledger = SequenceLedger(self.counters)
            self._ledger.hello(hello.frames_sent, hello.uptime_us)
            self._fresh = False
        self._release()
        self._lose(self._flight.restart())
        self._events.append(Connected(hello))
        self._progress_s = self._now_s

    def _fail(self, error: LinkError) -> None:
        """It is of no use: what came is handed out, then the error."""
        if self._streams:
            self._start_over |= self.hello is not None
            self._release()
        self._rest()
        self._events.append(Failed(error))
