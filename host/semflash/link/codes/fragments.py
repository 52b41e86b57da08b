"""The codes of an image out of the frames that carry them."""

from __future__ import annotations

from dataclasses import dataclass

from semflash.link.codes import pilots
from semflash.link.codes.prefix import Prefix, read_prefix
from semflash.link.frame import Frame, FrameType

#: Fragments of one image that are kept; a device of ours sends one for a frame of rows, or of codes, at most.
FRAGMENTS_MAX = 1024


@dataclass(frozen=True)
class CodesFormat:
    """How a device sends codes, as its HELLO tells.

    Attributes:
        payload_bits: of the longest payload. controls: number of the program's controls.
        pilot_bytes: in each frame. prefix: all codes have one.
    """

    payload_bits: int
    controls: int = 0
    pilot_bytes: int = 0
    prefix: bool = False

    @property
    def payload_bytes(self) -> int:
        """Of the longest payload."""
        return -(-self.payload_bits // 8)


@dataclass(frozen=True)
class Fragment:
    """Codes of one frame.

    Attributes:
        offset: bytes of the payload before them. codes: without pilots.
        pilot_errors: pilots XOR what they should be.
        bits: of the whole payload; 0: not known yet.
        values: of the controls, in the program's order; streamed: see Prefix.
    """

    offset: int
    codes: bytes
    pilot_errors: bytes
    damaged: bool
    last: bool
    bits: int
    values: tuple[int, ...] = ()
    streamed: bool = False

    @property
    def end(self) -> int:
        """Bytes of the payload up to here."""
        return self.offset + len(self.codes)


def is_codes(frame: Frame) -> bool:
    """Whether a frame carries codes."""
    return frame.type in (FrameType.CODES, FrameType.CODES_PART)


def has_bad_prefix(frame: Frame, form: CodesFormat) -> bool:
    """Whether the prefix that a frame should have is not to be believed."""
    return frame.type == FrameType.CODES_PART and read_prefix(frame, form.controls) is None


def read_codes(frame: Frame, form: CodesFormat) -> Fragment | None:
    """The codes of a CODES or CODES_PART frame; None: it is none that such a device sends.

    The size fits, and lies within the longest payload; a prefix is right.
    """
    if frame.type == FrameType.CODES:
        if form.prefix or len(frame.payload) != form.payload_bytes + form.pilot_bytes:
            return None
        prefix, body = Prefix(True, False, 0, form.payload_bits), frame.payload
    else:
        part = read_prefix(frame, form.controls)
        if part is None or len(part.codes) < form.pilot_bytes:
            return None
        prefix, body = part.prefix, part.codes
    codes, known = pilots.split(body, form.pilot_bytes)
    errors = pilots.difference(known, frame.bundle, frame.sequence, frame.request)
    found = Fragment(
        prefix.offset, codes, errors, frame.damaged, prefix.last, prefix.bits, prefix.values, prefix.streamed
    )
    return found if _fits(found, form) else None


def _fits(found: Fragment, form: CodesFormat) -> bool:
    """Whether a fragment lies where it can."""
    whole = -(-found.bits // 8)
    if found.bits > form.payload_bits or found.end > form.payload_bytes:
        return False
    if found.last:
        return found.end == whole  # so fragments of an image whose bytes add up to this leave no gap
    return len(found.codes) > 0 and (found.bits == 0 or found.end < whole)


@dataclass(frozen=True)
class Payload:
    """The payload of an image.

    Attributes:
        codes: its bytes. bits: its length.
        values: of the controls that were used. streamed: it left while rows came in.
        pilot_errors: of all fragments. damaged: byte ranges (start, end) of damaged fragments.
    """

    codes: bytes
    bits: int
    values: tuple[int, ...] = ()
    streamed: bool = False
    pilot_errors: bytes = b""
    damaged: tuple[tuple[int, int], ...] = ()


class Assembly:
    """Fragments of one image, until all are there. A fragment that comes twice counts once.

    A device that sends more than FRAGMENTS_MAX of them is not believed: what is kept stays small.
    """

    def __init__(self) -> None:
        self._fragments: dict[int, Fragment] = {}
        self._bytes = 0

    def add(self, fragment: Fragment) -> bool:
        """Take a fragment; False: it contradicts those that came before, and is none of this image."""
        for other in self._fragments.values():
            overlap = fragment.offset < other.end and other.offset < fragment.end
            same = (fragment.offset, fragment.end, fragment.last) == (other.offset, other.end, other.last)
            if (overlap and not same) or (fragment.last and other.last and not same):
                return False
            other_bits = fragment.bits and other.bits and fragment.bits != other.bits
            if fragment.values != other.values or other_bits:
                return False
            beyond = (fragment.last and other.end > fragment.end) or (other.last and fragment.end > other.end)
            if beyond:
                return False  # else its bytes could fill the count of a gap
        kept = self._fragments.get(fragment.offset)
        if kept is None and len(self._fragments) >= FRAGMENTS_MAX:
            return False
        if kept is None or (kept.damaged and not fragment.damaged):
            self._bytes += len(fragment.codes) if kept is None else 0
            self._fragments[fragment.offset] = fragment
        return True

    def whole(self) -> Payload | None:
        """The payload, once no fragment lacks: they do not overlap, so their bytes tell."""
        last = next((part for part in self._fragments.values() if part.last), None)
        if last is None or self._bytes != last.end:
            return None
        parts = [self._fragments[offset] for offset in sorted(self._fragments)]
        return Payload(
            b"".join(part.codes for part in parts),
            last.bits,
            last.values,
            any(part.streamed for part in parts),
            b"".join(part.pilot_errors for part in parts),
            tuple((part.offset, part.end) for part in parts if part.damaged),
        )
