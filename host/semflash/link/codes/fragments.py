"""The codes of an image out of the frames that carry them."""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash.link.codes import pilots
from semflash.link.codes.prefix import Prefix, read_prefix
from semflash.link.frame import Frame, FrameType


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
        return found.end == whole
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


@dataclass
class Assembly:
    """Fragments of one image, until all are there. A fragment that comes twice counts once."""

    fragments: dict[int, Fragment] = field(default_factory=dict)

    def add(self, fragment: Fragment) -> bool:
        """Take a fragment; False: it contradicts those that came before, and is none of this image."""
        for other in self.fragments.values():
            overlap = fragment.offset < other.end and other.offset < fragment.end
            same = (fragment.offset, fragment.end, fragment.last) == (other.offset, other.end, other.last)
            if (overlap and not same) or (fragment.last and other.last and not same):
                return False
            if fragment.values != other.values or (
                fragment.bits and other.bits and fragment.bits != other.bits
            ):
                return False
        kept = self.fragments.get(fragment.offset)
        if kept is None or (kept.damaged and not fragment.damaged):
            self.fragments[fragment.offset] = fragment
        return True

    def whole(self) -> Payload | None:
        """The payload, once no fragment lacks."""
        parts = [self.fragments[offset] for offset in sorted(self.fragments)]
        if not parts or not parts[-1].last:
            return None
        ends = [0, *(part.end for part in parts[:-1])]
        if [part.offset for part in parts] != ends:
            return None
        return Payload(
            b"".join(part.codes for part in parts),
            parts[-1].bits,
            parts[-1].values,
            any(part.streamed for part in parts),
            b"".join(part.pilot_errors for part in parts),
            tuple((part.offset, part.end) for part in parts if part.damaged),
        )
