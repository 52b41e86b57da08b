"""The rate of a run: how many bytes each image may have, and whether its payload kept to that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from semflash.channels.rate_trace import RateTrace
from semflash.edge.adaptation import Adaptation
from semflash.link.outcome import Received
from semflash.monitor.live.controls import Controls
from semflash.printable import plain
from semflash.program.controls import Control, rate_control
from semflash.program.program import Program

_KEPT_EXCEEDED = 20


@dataclass
class RateUse:
    """What images were told and what was sent, sums only.

    Attributes:
        images: How many came.
        told: Sum of the bytes that they were told; least, most: of them.
        sent: Sum of the bytes of their payloads.
        exceeded: Payloads longer than told; first_exceeded: the first of them, by index.
    """

    images: int = 0
    told: int = 0
    least: int = 0
    most: int = 0
    sent: int = 0
    exceeded: int = 0
    first_exceeded: list[int] = field(default_factory=list)

    def add(self, index: int, told: int, sent: int) -> None:
        """One image came."""
        self.least = min(self.least, told) if self.images else told
        self.most = max(self.most, told)
        self.images += 1
        self.told += told
        self.sent += sent
        if sent > told:
            self.exceeded += 1
            if len(self.first_exceeded) < _KEPT_EXCEEDED:
                self.first_exceeded.append(index)

    @property
    def words(self) -> str:
        """For the summary."""
        if not self.images:
            return "-"
        told = f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"
        above = f"{self.exceeded:,} payloads above" if self.exceeded else "no payload above"
        return f"{told}, {plain(100 * self.sent / self.told)} % of them sent, {above}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "told_mean": self.told / self.images if self.images else None,
            "told_least": self.least if self.images else None,
            "told_most": self.most if self.images else None,
            "sent_share": self.sent / self.told if self.told else None,
            "exceeded": self.exceeded,
            "first_exceeded": self.first_exceeded,
        }


class Rate:
    """Says what each image is told, and remembers it until the image came.

    Args:
        control: In bytes.
        value: Of the first image; None: it follows the channel, and what the device used counts as told.
        trace: Rates by image instead; a person who changes the rate ends it.

    Attributes:
        next: What the next image is told; None: it follows the channel.
        last: (told, sent) of the last image that came; None: none did.
        use: Sums.
    """

    def __init__(self, control: Control, value: int | None, trace: RateTrace | None = None) -> None:
        self.control, self.trace = control, trace
        self.next = value if trace is None else trace.at(0)
        self.last: tuple[int, int] | None = None
        self.use = RateUse()
        self._told: dict[int, int] = {}
        self._handed = 0

    @classmethod
    def of(cls, program: Program, adaptation: Adaptation, trace: RateTrace | None) -> Rate | None:
        """That of a program whose controls are set so; None: none of its controls is in bytes."""
        control = rate_control(program.controls)
        if control is None:
            return None
        follows = control.name in adaptation.following and trace is None
        value = None if follows else adaptation.settings.get(control.name, control.default)
        return cls(control, value, trace)

    def hand_out(self, index: int) -> dict[str, int]:
        """Controls of the image that is handed to the link now."""
        if self.trace is not None:
            self.next = self.trace.at(self._handed)
        self._handed += 1
        if self.next is None:
            return {}
        self._told[index] = self.next
        return {self.control.name: self.next}

    def change(self, value: int) -> None:
        """Another rate from the next image on; a trace ends."""
        self.trace, self.next = None, value

    def came(self, image: Received) -> None:
        """Check an image that came. Neither what it was told nor what the device says it used is exceeded."""
        told, used = self.told(image.index), image.controls.get(self.control.name)
        limits = [value for value in (told, used) if value is not None]
        if limits:
            self.last = min(limits), len(image.payload)
            self.use.add(image.index, *self.last)

    def told(self, index: int) -> int | None:
        """What an image under way was told; None: nothing."""
        return self._told.get(index)

    def forget(self, index: int) -> None:
        """An image is done."""
        self._told.pop(index, None)

    @property
    def steps(self) -> tuple[int, ...]:
        """What keys step through: both ends of the range, and 2^n and 3 * 2^n between."""
        low, high = self.control.low, self.control.high
        between = {step << power for power in range(16) for step in (1, 3)}
        return tuple(sorted({low, high} | {value for value in between if low < value < high}))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        trace = {} if self.trace is None else {"trace": self.trace.name}
        return {"control": self.control.name, **trace, "next": self.next, **self.use.as_dict()}


class RateKeys:
    """Keys that change the rate: what a person asks for, told apart from what a trace does.

    Args:
        rate: Of the run; None: it has none.
        controls: What the keys step.
    """

    def __init__(self, rate: Rate | None, controls: Controls) -> None:
        self._rate, self._controls = rate, controls
        self._seen = controls.rate

    def asked(self) -> str | None:
        """Follow a key since the last call, and say so; None: there was none, and the keys will step from
        where the trace is now."""
        rate, controls = self._rate, self._controls
        if rate is None or rate.next is None or controls.rate is None:
            return None
        if controls.rate == self._seen:
            controls.rate = self._seen = rate.next
            return None
        ended = "" if rate.trace is None else f", and {rate.trace.name} ends"
        rate.change(controls.rate)
        self._seen = controls.rate
        return f"the next images may have {controls.rate} bytes{ended}"
