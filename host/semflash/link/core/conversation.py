"""What a core makes of the frames that come: answers, credit, refusals, losses, the device's clock.

:mod:`semflash.link.core.sending` sends; here nothing is sent. The time is what the core was told last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from semflash.link import messages
from semflash.link.codes.custody import BadPrefix, Believed, Custody, Misplaced
from semflash.link.codes.fragments import CodesFormat, is_codes, read_codes
from semflash.link.controls import STREAM, Steering
from semflash.link.core.events import CoreEvent, Statistics
from semflash.link.core.flight import Flight, Sending
from semflash.link.core.frame_stream import FrameStream
from semflash.link.core.patience import Patience, Search, Yield
from semflash.link.core.source_picture import SourcePicture
from semflash.link.core.window import Window
from semflash.link.counters import LinkCounters
from semflash.link.frame import Dropped, Event, Frame, FrameType
from semflash.link.handshake import Expected, check_hello
from semflash.link.messages import Hello
from semflash.link.outcome import Lost, Received
from semflash.link.sequence import SequenceLedger
from semflash.link.wire import Refusal

_REFUSED_CONTROLS = (Refusal.CONTROL_RANGE, Refusal.CONTROL_UNKNOWN)


class Conversation:
    """The books of a core, and how received frames change them.

    Args:
        session: u32, not 0, which the device repeats in HELLO.
        tap: is called with every frame that is believed, before it is acted on.

    Attributes:
        hello: what the device said last; None: nothing yet. fault_report: payload of its last FAULT frame.
    """

    def __init__(
        self,
        expected: Expected,
        flight: Flight,
        session: int,
        timeout_s: float,
        tap: Callable[[Frame], None] | None,
    ) -> None:
        self.hello: Hello | None = None
        self.fault_report: bytes | None = None
        self._now_s = 0.0
        self._frames = FrameStream(session)
        self._expected, self._flight, self._tap = expected, flight, tap
        self._ledger = SequenceLedger(self.counters)
        self._custody = Custody(expected.hash32, CodesFormat(8 * expected.payload_bytes))
        self._steering = Steering(expected.controls)
        self._window = Window()
        self._held: Received | None = None  # codes that wait for their IMAGE_STATS
        self._held_s = 0.0
        self._events: deque[CoreEvent] = deque()
        self._timeout_s, self._patience = timeout_s, Patience(timeout_s)
        self._progress_s = 0.0  # when the device last answered
        self._yield = Yield(timeout_s)
        self._start_over = False  # what came shows that the device is not where this session is
        self._device_us = 0
        self._question: Search | None = None  # LINK_STATS has been asked
        self._picture = SourcePicture(expected.rows, expected.row_bytes, timeout_s)
        self._handlers: dict[FrameType, Callable[[Frame], None]] = {
            FrameType.HELLO: self._on_late_hello,
            FrameType.CODES: self._on_codes,
            FrameType.CODES_PART: self._on_codes,
            FrameType.IMAGE_STATS: self._on_image_stats,
            FrameType.CREDIT: self._on_credit,
            FrameType.REFUSED: self._on_refused,
            FrameType.LINK_STATS: self._on_link_stats,
            FrameType.FAULT: self._on_fault,
            FrameType.SOURCE_ROWS: self._on_source_rows,
        }

    @property
    def counters(self) -> LinkCounters:
        """What happened since the first HELLO of the last `connect`."""
        return self._frames.counters

    @property
    def frame_due(self) -> int | None:
        """The number of the device's next frame, 32 bits; None: nothing is known of it."""
        return self._ledger.due

    def _on_event(self, event: Event) -> None:
        for believed in self._custody.take(event):
            self._on_believed(believed)

    def _on_believed(self, believed: Believed) -> None:
        """Count what came, and act on frames whose header is believed."""
        counters = self.counters
        if isinstance(believed, Dropped):
            counters.dropped[believed.reason] += 1
        elif isinstance(believed, Misplaced):
            counters.frames_misplaced += 1
        elif isinstance(believed, BadPrefix):
            counters.frames_bad_prefix += 1
        elif believed.bundle != self._expected.hash32:
            counters.foreign += 1
        elif believed.damaged and not is_codes(believed):
            counters.frames_useless += 1
        else:
            counters.frames_damaged += believed.damaged
            counters.frames_ok += not believed.damaged
            self._start_over |= self._ledger.see(believed.sequence)
            self._on_frame(believed)

    def _on_frame(self, frame: Frame) -> None:
        if self._tap is not None:
            self._tap(frame)
        self._handlers.get(frame.type, self._on_unexpected)(frame)

    def _on_codes(self, frame: Frame) -> None:
        sending = self._flight.find(frame.request)
        if sending is None or self.hello is None:
            self.counters.stale_answers += 1
            return
        fragment = read_codes(frame, self._custody.form)
        early = fragment is None or fragment.last or not fragment.streamed
        if fragment is None or (early and sending.next_row < self._expected.rows):
            self._on_unexpected(frame)  # the wrong size, or an answer before the last row was sent
            self._yield.failed()
            return
        if not sending.assembly.add(fragment):
            self._on_unexpected(frame)
            return
        self._release()
        if fragment.last:
            self._window.answered(frame.request)
        self._lose(self._flight.overtake(frame.request))
        self._progress()
        self.counters.pilot_bits += 8 * len(fragment.pilot_errors)
        self.counters.pilot_bit_errors += int.from_bytes(fragment.pilot_errors, "big").bit_count()
        if self._steering.as_wanted(sending.controls, fragment.values):
            self._finish_codes(sending)
        else:
            self._on_missed_controls(sending)

    def _finish_codes(self, sending: Sending) -> None:
        """Codes of an image came; where they are all, they wait for their IMAGE_STATS."""
        payload = sending.assembly.whole()
        if payload is None:
            return
        self._flight.answer(sending.request)
        self._held_s = self._progress_s
        self._yield.codes(self._held_s)
        if payload.streamed != (sending.controls[STREAM] > 0):
            self.counters.controls_missed += 1
            self._steering.doubt()
        self._held = Received(
            sending.index,
            sending.request,
            sending.attempt,
            payload.codes,
            bool(payload.damaged),
            self._held_s - sending.sent_s,
            pilot_errors=payload.pilot_errors,
            bits=payload.bits,
            controls=self._steering.used(payload.values),
            damaged_parts=payload.damaged,
        )

    def _on_missed_controls(self, sending: Sending) -> None:
        """A CONTROL did not arrive: the image was encoded with other values, so it is sent again."""
        self.counters.controls_missed += 1
        self._steering.doubt()
        _, given_up = self._flight.refuse(sending.request)
        self._lose(given_up)

    def _on_image_stats(self, frame: Frame) -> None:
        stats = messages.parse_image_stats(frame.payload)
        if stats is None:
            self._on_unexpected(frame)
        elif self._held is not None and self._held.request == frame.request:
            ticks, stack_bytes, stamp = stats
            time_us = self._device_time(stamp)
            self._held = replace(self._held, ticks=ticks, stack_bytes=stack_bytes, device_us=time_us)
            self._release()
        else:
            self.counters.stale_answers += 1

    def _device_time(self, stamp: int) -> int | None:
        """Microseconds since the device's reset, from their low 32 bits."""
        assert self.hello is not None
        if "time" not in self.hello.capabilities:
            return None
        forward = (stamp - self._device_us) & 0xFFFF_FFFF
        if forward >= 0x8000_0000:
            self._start_over = True  # the clock went back: the device was reset
            return None
        self._device_us += forward
        return self._device_us

    def _on_credit(self, frame: Frame) -> None:
        credit = messages.parse_credit(frame.payload)
        if credit is None:
            self._on_unexpected(frame)
            return
        went_back = self._window.went_back(credit[0])
        taken = self._window.credit(*credit)
        if taken is None:
            self.counters.stale_answers += 1
            return
        self._progress()
        self._lose(self._flight.overtake(taken.request))
        self._start_over |= went_back  # the device was reset

    def _on_refused(self, frame: Frame) -> None:
        if len(frame.payload) != 1:
            self._on_unexpected(frame)
            return
        if self._picture.expects(frame):
            self._on_source_rows(frame)
            return
        sending, given_up = self._flight.refuse(frame.request)
        if sending is None:
            self.counters.stale_answers += 1
            return
        reason = frame.payload[0]
        if reason in _REFUSED_CONTROLS:
            self._steering.doubt()
        self.counters.refused[reason] = self.counters.refused.get(reason, 0) + 1
        self._start_over |= reason == messages.REFUSED_BUNDLE
        if reason not in messages.REFUSED_FOR_THE_LINE:
            self._yield.failed()
        self._progress()
        self._lose(given_up)

    def _on_link_stats(self, frame: Frame) -> None:
        stats = messages.parse_link_stats(frame.payload)
        if stats is None:
            self._on_unexpected(frame)
        elif self._question is not None:
            self._question = None
            self._events.append(Statistics(stats))

    def _on_source_rows(self, frame: Frame) -> None:
        if not self._picture.expects(frame):
            self.counters.stale_answers += 1
        elif (end := self._picture.take(frame, self._now_s)) is not None:
            self._events.append(end)

    def _on_fault(self, frame: Frame) -> None:
        self.counters.faults += 1
        self.fault_report = frame.payload

    def _on_late_hello(self, frame: Frame) -> None:
        """Another answer to a question that was asked more than once."""
        if frame.request != self._frames.session:
            self._on_unexpected(frame)

    def _is_answer(self, frame: Frame) -> bool:
        """A HELLO to this session's question."""
        return frame.type == FrameType.HELLO and not frame.damaged and frame.request == self._frames.session

    def _take_hello(self, frame: Frame) -> Hello:
        """The answer came: what was under way before it is settled, and numbers and clock go on from it.

        Raises:
            WrongFirmwareError, LinkError: the device is not the expected one.
        """
        hello = check_hello(messages.parse_hello(frame.payload), self._expected)
        for believed in self._custody.hello(frame):
            self._on_believed(believed)
        if self._tap is not None:
            self._tap(frame)
        self.hello = hello
        self._custody.form = CodesFormat(
            hello.payload_bits, len(hello.controls), hello.pilot_bytes, bool(hello.prefix)
        )
        self._steering.restart()
        self.counters.frames_ok += 1
        self._ledger.hello(hello.frames_sent, hello.uptime_us, self._device_us)
        self._window.restart()
        self._device_us = hello.uptime_us
        return hello

    def _on_unexpected(self, frame: Frame) -> None:
        self.counters.unexpected += 1

    def _release(self) -> None:
        """Hand out the codes that wait for their IMAGE_STATS."""
        if self._held is not None:
            self._events.append(self._held)
            self._held = None

    def _lose(self, given_up: list[Sending]) -> None:
        self._events.extend(Lost(sending.index, sending.attempt) for sending in given_up)
        self.counters.images_lost += len(given_up)
        self.counters.images_resent = self._flight.repeated
        self._yield.gave_up(len(given_up))
        self._start_over |= self._yield.in_vain(self._now_s)

    def _progress(self) -> None:
        """The device answered."""
        self._patience.answered(self._now_s - self._progress_s)
        self._progress_s = self._now_s
