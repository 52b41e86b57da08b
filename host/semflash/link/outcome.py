"""What becomes of an image that was sent to a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """The codes of one image.

    Attributes:
        index: the caller's number of the image; request: of the link; attempt: 1 for the first sending.
        payload: packed codes as received; bits: their length, without what fills the last byte.
        controls: values that the device used, by name; the decoder must be told these.
        damaged: the CRC of a frame was wrong; damaged_parts: byte ranges (start, end) of the payload in such
            frames.
        ticks, stack_bytes: the device's IMAGE_STATS; None where that frame was lost.
        device_us: the device's time since reset when it sent the codes; None: lost, or it has no clock.
        pilot_errors: pilots XOR what they should be, a set bit is an error; b"": the frames had none.
        seconds: from the first row sent to the codes received.
    """

    index: int
    request: int
    attempt: int
    payload: bytes
    damaged: bool
    seconds: float
    ticks: int | None = None
    stack_bytes: int | None = None
    device_us: int | None = None
    pilot_errors: bytes = b""
    bits: int = -1
    controls: Mapping[str, int] = field(default_factory=dict)
    damaged_parts: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.bits < 0:
            object.__setattr__(self, "bits", 8 * len(self.payload))

    def padded(self, size_bytes: int) -> bytes:
        """The payload with zeros behind it, as long as the longest of its program."""
        return self.payload.ljust(size_bytes, b"\0")

    @property
    def pilot_bit_errors(self) -> int:
        """Wrong pilot bits, of 8 x len(pilot_errors)."""
        return int.from_bytes(self.pilot_errors, "big").bit_count()


@dataclass(frozen=True)
class Lost:
    """An image that was given up after `attempts` sendings."""

    index: int
    attempts: int


Outcome = Received | Lost
