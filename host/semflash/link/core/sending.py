"""The sending side of a core: image rows within the credit, and when the device should have answered."""

from __future__ import annotations

from collections import deque

from semflash.link import messages
from semflash.link.controls import control_payloads
from semflash.link.core.conversation import Conversation
from semflash.link.core.flight import Sending
from semflash.link.core.window import Underway
from semflash.link.frame import FrameType

FRAME_OVERHEAD = 32  # header, CRC and COBS of a ROWS frame of usual size
#: Images under way whose answers may still come, whatever window a device claims.
OPEN_IMAGES_MAX = 256
#: Codes wait that long for their IMAGE_STATS.
STATS_WAIT_S = 0.25


class SendingSide(Conversation):
    """Sends rows while the device has room for them. Codes and credit come in :class:`Conversation`."""

    _ended = False  # no more images will be offered

    def _send_rows(self) -> None:
        """Rows of images that wait, as far as the device has room."""
        while True:
            count = self._rows_to_send()
            if not count:
                return
            sending = self._flight.current
            if sending is None:
                if not self._flight.open_count:
                    self._progress_s = max(self._progress_s, self._now_s)  # it had nothing to answer
                sending = self._flight.take(self._now_s)
            if sending is None:
                return
            settings = self._settings_before(sending)
            if settings:
                self._send(FrameType.CONTROL, settings.popleft(), sending)
                continue
            row_bytes = self._expected.row_bytes
            part = sending.rows[sending.next_row * row_bytes : (sending.next_row + count) * row_bytes]
            self._send(FrameType.ROWS, messages.rows_payload(sending.next_row, part, row_bytes), sending)
            sending.next_row += count
            if sending.next_row == self._expected.rows:
                self._flight.current = None

    def _send(self, kind: FrameType, payload: bytes, sending: Sending) -> None:
        """A frame about an image, which takes a place in the device's queue."""
        bundle = self._expected.hash32
        number, size = self._frames.send(kind, payload, request=sending.request, bundle=bundle)
        self._window.sent(Underway(number, size, sending.request))

    def _settings_before(self, sending: Sending) -> deque[bytes]:
        """Payloads of CONTROL that are still to go out before the rows of an image."""
        assert self.hello is not None
        if sending.settings is None:
            due = self._steering.due(sending.controls)
            sending.settings = deque(control_payloads(due, self.hello.rows_payload))
            self._steering.began(sending.controls)
        return sending.settings

    def _rows_to_send(self) -> int:
        """How many rows the next ROWS frame may carry now; 0: the device has no room for one."""
        assert self.hello is not None
        current = self._flight.current
        # A credit comes before the codes it makes, so more open images than that means lost codes.
        if current is None and self._flight.open_count > min(self.hello.window, OPEN_IMAGES_MAX):
            return 0
        next_row = current.next_row if current is not None else 0
        count = min(self.hello.rows_per_frame, self._expected.rows - next_row)
        fits = self._window.takes(count * self._expected.row_bytes + FRAME_OVERHEAD, self.hello.window)
        return count if fits else 0

    @property
    def _has_room_for_an_image(self) -> bool:
        """Whether the first rows of an image that is offered now would go out at once."""
        return self._flight.current is None and not self._flight.waiting_count and self._rows_to_send() > 0

    @property
    def _has_every_outcome(self) -> bool:
        return self._ended and not self._flight.pending_count and self._held is None

    @property
    def _waits_for_the_device(self) -> bool:
        """Whether it is the device's turn: an answer is due, or the credit without which nothing goes out."""
        if self._flight.pending_count:
            return True
        return not self._ended and not self._has_room_for_an_image

    def _is_overdue(self, *, idle: bool) -> bool:
        """Whether the device should have answered by now. idle: nothing waits to be read either."""
        wait_s = self._patience.wait_s if idle else self._timeout_s
        return self._waits_for_the_device and self._now_s >= self._progress_s + wait_s

    def _release_late(self) -> None:
        """Hand out codes whose IMAGE_STATS does not come."""
        if self._held is not None and self._now_s >= self._held_s + STATS_WAIT_S:
            self._release()

    def _stream_due_s(self) -> float | None:
        """When codes go out without their cost, or the device is overdue; None: nothing is waited for."""
        times = [self._held_s + STATS_WAIT_S] if self._held is not None else []
        if self._waits_for_the_device:
            times.append(self._now_s if self._start_over else self._progress_s + self._patience.wait_s)
        return min(times, default=None)
