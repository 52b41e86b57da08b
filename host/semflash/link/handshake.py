"""HELLO: what the device must be, and why there is none when none comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from semflash.errors import LinkError, WrongFirmwareError
from semflash.link.errors import GarbageError, LossyLineError, SilenceError
from semflash.link.frame import PROTOCOL_VERSION, Dropped, Event, Frame
from semflash.link.messages import Hello
from semflash.link.wire import FROM_DEVICE
from semflash.program.controls import Control

if TYPE_CHECKING:
    from semflash.bundle import Bundle


@dataclass(frozen=True)
class Expected:
    """What a bundle's device says of itself.

    Attributes:
        name: for messages. hash32: first 32 bits of the bundle's hash.
        rows, row_bytes: of an image. payload_bytes: of the longest payload.
        controls: of the program, in its order. varies: payloads differ in length.
    """

    name: str
    hash32: int
    rows: int
    row_bytes: int
    payload_bytes: int
    controls: tuple[Control, ...] = ()
    varies: bool = False

    @staticmethod
    def of(bundle: Bundle) -> Expected:
        """From a bundle."""
        height, width, channels = bundle.image_shape
        program = bundle.program
        varies = not program.payload.is_fixed
        sizes = (height, width * channels, bundle.payload_bytes)
        return Expected(bundle.name, bundle.hash32, *sizes, tuple(program.controls), varies)


def check_hello(hello: Hello, expected: Expected) -> Hello:
    """The HELLO itself if the device is the expected one.

    Raises:
        WrongFirmwareError: it runs another bundle or protocol version; both are named.
        LinkError: the hash agrees, but the sizes do not.
    """
    remedy = f"semflash flash {expected.name}, or monitor with the bundle that is on the board"
    if hello.protocol != PROTOCOL_VERSION:
        raise _wrong_protocol(hello.protocol, expected)
    if hello.bundle != expected.hash32:
        raise WrongFirmwareError(
            f"the device runs bundle {hello.bundle:08x}, wanted {expected.hash32:08x} ({expected.name})",
            value=f"board {hello.board!r}, build {hello.build_id:08x}",
            remedy=remedy,
        )
    found = (hello.rows, hello.row_bytes, hello.payload_bytes)
    wanted = (expected.rows, expected.row_bytes, expected.payload_bytes)
    if found != wanted:
        raise LinkError(
            f"the device's rows, row bytes and payload bytes are not those of the bundle, {wanted}",
            value=found,
            remedy=f"build and flash {expected.name} again",
        )
    ids = tuple(control.id for control in expected.controls)
    if hello.controls != ids or ((ids or expected.varies) and not hello.prefix):
        raise LinkError(
            f"the device's controls are not those of the bundle, {ids}, or it does not say which it used",
            value=f"{hello.controls}, prefix format {hello.prefix}",
            remedy=f"build and flash {expected.name} again",
        )
    return hello


class HelloWatch:
    """Watches what comes instead of a HELLO, to say what is wrong."""

    def __init__(self) -> None:
        self._bytes = self._frames = self._echoed = self._dropped = 0
        self._version: int | None = None

    def see(self, event: Event | None, received_bytes: int) -> None:
        """Note an event (None: a read without one) and the bytes that came with it."""
        self._bytes += received_bytes
        if isinstance(event, Frame):
            self._frames += 1
            self._echoed += event.type < FROM_DEVICE
        elif isinstance(event, Dropped):
            self._dropped += 1
            if event.version not in (None, PROTOCOL_VERSION):
                self._version = event.version

    @staticmethod
    def is_device(event: Event) -> bool:
        """A whole frame such as devices send: the line carries something, though not HELLO yet."""
        return isinstance(event, Frame) and not event.damaged and event.type >= FROM_DEVICE

    @property
    def other_version(self) -> int | None:
        """Protocol version of the device, where it speaks another one (and is no echo of ours)."""
        return self._version if not self._echoed else None

    def failure(self, expected: Expected, seconds: float, whole_before: int = 0) -> LinkError:
        """Why no HELLO came within `seconds`. whole_before: whole frames of this session before that."""
        if self.other_version is not None:
            return _wrong_protocol(self.other_version, expected)
        if self._bytes == 0:
            return SilenceError(
                "the device is silent",
                value=f"no byte in {seconds:.1f} s",
                remedy="is it powered and flashed (semflash flash)? is this its port (semflash boards)?",
            )
        if self._echoed:
            return GarbageError(
                "the port echoes what is sent to it",
                value=f"{self._echoed} frames came back",
                remedy="this is no device of ours: look for its port with semflash boards",
            )
        if self._frames:
            return LinkError(
                "the device sends frames but does not answer HELLO",
                value=f"{self._frames} frames and {self._dropped} broken ones in {seconds:.1f} s",
                remedy="look at the cable: much gets lost"
                if self._dropped > self._frames
                else "reset the board",
            )
        if whole_before:
            return LossyLineError(
                "only broken frames come from the device now",
                value=f"{self._dropped} broken, none whole in {seconds:.1f} s; {whole_before:,} whole before",
                remedy="look at the cable, its length and ground (the baud rate was right before)",
            )
        return GarbageError(
            "the port delivers bytes that are no frames of ours",
            value=f"{self._bytes} bytes, {self._dropped} broken frames in {seconds:.1f} s",
            remedy="check the baud rate ([link] baud) and that this is the board's port (semflash boards)",
        )


def _wrong_protocol(version: int, expected: Expected) -> WrongFirmwareError:
    return WrongFirmwareError(
        f"the device speaks protocol version {version}, this semflash speaks {PROTOCOL_VERSION}",
        value=f"firmware built by {'an earlier' if version < PROTOCOL_VERSION else 'a later'} semflash",
        remedy=f"build and flash again: semflash build {expected.name}, then semflash flash {expected.name}",
    )
