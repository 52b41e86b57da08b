"""Which of the device's frames came: losses, duplicates and reordered frames, each counted once."""

from __future__ import annotations

from collections import deque

from semflash.link.counters import LinkCounters

#: How many of the latest frame numbers are told apart one by one.
WINDOW = 1024
#: The latest frames that may turn out to be a restarted device's; what came earlier is not put right.
RECENT_MAX = 2048
_MASK = (1 << WINDOW) - 1


class SequenceLedger:
    """Accounts for the frames of one device from its first HELLO on.

    Frame numbers have 16 bits; HELLO tells the 32-bit count of frames since reset, so that silence of any
    length is accounted for. While the device is not restarted,

        frames it sent = frames that came (each number once) + frames_lost

    Frames beyond that are in `frames_duplicate`. What a restarted device had sent last, before its reset,
    nobody can know: it counts nowhere, and `restarts` says how often that happened.
    """

    def __init__(self, counters: LinkCounters) -> None:
        self._counters = counters
        self._next: int | None = None  # 32 bits and more: the number that is due
        self._window = 0  # bit i: number next - 1 - i came
        self._hellos: deque[tuple[int, int]] = deque(maxlen=8)  # of this device since its reset
        self._doubt: int | None = (
            None  # a number far from the one due, until another frame or HELLO confirms it
        )
        #: Since the last HELLO: (number, counter it went into or "", numbers counted as lost before it).
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=RECENT_MAX)

    @property
    def due(self) -> int | None:
        """The number of the next frame, 32 bits and more; None: no frame has come."""
        return self._next

    def see(self, sequence: int) -> bool:
        """Note the u16 number of a received frame that is no HELLO.

        A number WINDOW or more away from the one due is believed only when the next frame goes on from it,
        or HELLO confirms it; else it counts as a duplicate.

        Returns:
            whether the number is that far away, so that the device may have been reset: HELLO tells.
        """
        if self._next is None:
            self._next, self._window = sequence + 1, 1
            return False
        gap = (sequence - self._next) & 0xFFFF
        doubt, self._doubt = self._doubt, None
        if gap < WINDOW or gap > 0xFFFF - WINDOW:
            self._counters.frames_duplicate += doubt is not None
            self._count(sequence)
            return False
        if doubt is not None and 0 < (sequence - doubt) & 0xFFFF <= WINDOW:
            self._count(doubt)
            self._count(sequence)
        else:
            self._counters.frames_duplicate += doubt is not None
            self._doubt = sequence
        return True

    def _count(self, sequence: int) -> None:
        """Note a number that is believed."""
        assert self._next is not None
        gap = (sequence - self._next) & 0xFFFF
        if gap < 0x8000:
            self._forward_to(self._next + gap)
            self._recent.append((sequence, "", gap))
            return
        back = 0xFFFF - gap  # 0: the latest number
        if back < WINDOW and not self._window >> back & 1:
            self._window |= 1 << back
            self._counters.frames_lost -= 1
            counter = "frames_reordered"
        else:
            counter = "frames_duplicate"
        setattr(self._counters, counter, getattr(self._counters, counter) + 1)
        self._recent.append((sequence, counter, 0))

    def hello(self, frames_sent: int, uptime_us: int, known_us: int = 0) -> bool:
        """Note a HELLO, the frame number `frames_sent` since the reset. True: the device was restarted.

        known_us: the latest time since its reset that the device has told, in other frames too.
        """
        if (frames_sent, uptime_us) in self._hellos:
            self._counters.frames_duplicate += 1  # the line doubled the frame
            return False
        due = self._next
        if due is None:
            self._next, self._window = frames_sent + 1, 1
            restarted = False
        elif restarted := self._is_restart(frames_sent, uptime_us, known_us):
            self._resolve_doubt(frames_sent, restarted=True)
            self._restart(frames_sent)
        elif frames_sent >= due:
            self._resolve_doubt(frames_sent, restarted=False)
            self._forward_to(frames_sent)
        else:
            self.see(frames_sent & 0xFFFF)
        self._recent.clear()
        self._hellos.append((frames_sent, uptime_us))
        return restarted

    def _resolve_doubt(self, frames_sent: int, *, restarted: bool) -> None:
        """HELLO `frames_sent` came: believe a doubtful number that the device can have sent before it."""
        assert self._next is not None
        doubt, self._doubt = self._doubt, None
        if doubt is None:
            return
        number = frames_sent - ((frames_sent - doubt) & 0xFFFF)  # the latest one with these 16 bits
        if restarted and 0 <= number < frames_sent:
            self._count(doubt)
        elif not restarted and self._next <= number < frames_sent:
            self._forward_to(number)
        else:
            self._counters.frames_duplicate += 1

    def _is_restart(self, frames_sent: int, uptime_us: int, known_us: int) -> bool:
        """Whether a HELLO with these values comes from a device that was reset since the last one."""
        assert self._next is not None
        if uptime_us < max(known_us, *(uptime for _, uptime in self._hellos), 0):
            return True
        back = self._next - 1 - frames_sent
        return back >= WINDOW or (back >= 0 and bool(self._window >> back & 1))

    def _forward_to(self, number: int) -> None:
        """`number` came, which is due or later."""
        assert self._next is not None
        gap = number - self._next
        self._counters.frames_lost += gap
        self._window = (self._window << (gap + 1) | 1) & _MASK if gap < WINDOW else 1
        self._next += gap + 1

    def _restart(self, frames_sent: int) -> None:
        """Count what came since the reset as the new device's."""
        counters = self._counters
        fresh = self._since_reset(frames_sent)
        for _, counter, gap in fresh:
            counters.frames_lost += (counter == "frames_reordered") - gap
            if counter:
                setattr(counters, counter, getattr(counters, counter) - 1)
        came = {number for number, _, _ in fresh}
        counters.frames_duplicate += len(fresh) - len(came)
        counters.frames_lost += frames_sent - len(came)
        counters.restarts += 1
        self._next = frames_sent + 1
        self._window = 1 | sum(
            1 << (frames_sent - number) for number in came if frames_sent - number < WINDOW
        )
        self._hellos.clear()

    def _since_reset(self, frames_sent: int) -> list[tuple[int, str, int]]:
        """The latest frames that fit a device that has sent `frames_sent`, from where the numbers leapt."""
        fresh: list[tuple[int, str, int]] = []
        for entry in reversed(self._recent):
            if entry[0] >= frames_sent:
                break
            fresh.insert(0, entry)
        leaps = (index for index, (_, counter, gap) in enumerate(fresh) if counter or gap >= WINDOW)
        return fresh[next(leaps, 0) :]
