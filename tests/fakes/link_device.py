"""A device for link tests: docs/wire-format.md written down once more, over an in-memory pipe, with faults.

It shares no code with the bridge or the device runtime. Time is virtual: a read that finds nothing advances
`now` by 50 ms, so time-outs cost no time.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable

from cobs import cobs

HELLO_REQUEST, ROWS, STATS_REQUEST, CONTROL, CAPTURE = 0x01, 0x02, 0x03, 0x04, 0x05
HELLO, CODES, IMAGE_STATS, CREDIT, REFUSED, LINK_STATS, FAULT = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87
CODES_PART, SOURCE_ROWS = 0x88, 0x89
LAST, STREAMED = 1, 2

Fault = Callable[[int, bytes], list[bytes]]


def build(
    kind: int, payload: bytes = b"", *, request: int = 0, bundle: int = 0, sequence: int = 0, version: int = 3
) -> bytes:
    """A frame before COBS."""
    header = struct.pack("<BBHIIH", version, kind, sequence, bundle, request, len(payload))
    header += struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    covered = header + payload if version > 2 else payload
    return header + payload + struct.pack("<I", zlib.crc32(covered))


def on_wire(raw: bytes) -> bytes:
    """COBS and delimiter."""
    return cobs.encode(raw) + b"\0"


def split(raw: bytes) -> tuple[int, int, bytes]:
    """(type, request, payload) of a whole frame before COBS."""
    _, kind, _, _, request, length = struct.unpack_from("<BBHIIH", raw)
    return kind, request, raw[16 : 16 + length]


def pilot_pattern(bundle: int, sequence: int, request: int, count: int) -> list[int]:
    """Pilot bytes, as docs/wire-format.md defines them."""
    x = ((bundle ^ request) + (sequence + 1) * 0x9E3779B1) % 2**32
    x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
    x, values = x ^ x >> 13 or 0x9E3779B1, []
    for _ in range(count):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        values.append(x >> 24)
    return values


def with_pilots(codes: bytes, bundle: int, sequence: int, request: int, count: int) -> bytes:
    """The payload of CODES."""
    total, left = len(codes) + count, iter(codes)
    known = dict(
        zip(
            (j * total // count for j in range(count)),
            pilot_pattern(bundle, sequence, request, count),
            strict=True,
        )
    )
    return bytes(known[place] if place in known else next(left) for place in range(total))


def without_pilots(payload: bytes, count: int) -> bytes:
    """The codes of a CODES payload."""
    places = {j * len(payload) // count for j in range(count)}
    return bytes(value for place, value in enumerate(payload) if place not in places)


def entries(*pairs: tuple[int, bytes]) -> bytes:
    """The payload of HELLO."""
    return b"".join(bytes([tag, len(value)]) + value for tag, value in pairs)


def read_entries(payload: bytes) -> dict[int, bytes]:
    """Values of a HELLO by their tags."""
    found, at = {}, 0
    while at < len(payload):
        tag, length = payload[at : at + 2]
        assert tag not in found and at + 2 + length <= len(payload)
        found[tag] = payload[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def setting(number: int, value: int, size: int = 2) -> bytes:
    """One setting of a CONTROL frame."""
    return bytes([number, size]) + value.to_bytes(size, "little")


def part(
    codes: bytes,
    *,
    sequence: int,
    request: int,
    bundle: int,
    flags: int = LAST,
    offset: int = 0,
    bits: int | None = None,
    values: Iterable[int] = (),
    pilots: int = 0,
) -> bytes:
    """A CODES_PART frame before COBS, as docs/wire-format.md describes its prefix."""
    words = tuple(values)
    front = struct.pack("<BBHI", flags, len(words), offset, 8 * len(codes) if bits is None else bits)
    front += struct.pack(f"<{len(words)}H", *words)
    body = with_pilots(codes, bundle, sequence & 0xFFFF, request, pilots)
    length = len(front) + 2 + len(body)
    header = struct.pack("<BBHIIH", 3, CODES_PART, sequence & 0xFFFF, bundle, request, length)
    front += struct.pack("<H", binascii.crc_hqx(header + front, 0xFFFF))
    return build(CODES_PART, front + body, request=request, bundle=bundle, sequence=sequence & 0xFFFF)


def digest_codes(image: bytes, payload_bytes: int) -> bytes:
    """Codes that name their image."""
    return hashlib.shake_128(image).digest(payload_bytes)


class FakeDevice:
    """A port whose other end is a device.

    Args:
        encode: image bytes -> codes. fault: (type, raw frame) -> wire pieces to send instead.
        controls: (id, low, high, default) of each. steer: encode with their values.
        fragment_bytes: most codes in one frame.
        source: the bytes of its own source's next picture; shorter ones end in REFUSED.
    """

    def __init__(
        self,
        *,
        bundle: int = 0xA1B2C3D4,
        rows: int = 4,
        row_bytes: int = 6,
        payload_bytes: int = 8,
        window: int = 2,
        rows_per_frame: int = 2,
        encode: Callable[[bytes], bytes] | None = None,
        fault: Fault | None = None,
        protocol: int = 3,
        pilot_bytes: int = 0,
        ticks: int = 1000,
        controls: Iterable[tuple[int, int, int, int]] = (),
        steer: Callable[[bytes, tuple[int, ...]], bytes] | None = None,
        fragment_bytes: int = 4000,
        device_id: bytes = b"",
        source: Callable[[], bytes] | None = None,
    ) -> None:
        self.source = source
        self.bundle, self.rows, self.row_bytes, self.payload_bytes = bundle, rows, row_bytes, payload_bytes
        self.window, self.rows_per_frame, self.protocol, self.ticks = window, rows_per_frame, protocol, ticks
        self.pilot_bytes = pilot_bytes
        self.encode = encode or (lambda image: digest_codes(image, payload_bytes))
        self.fault = fault
        self.hear: Callable[[bytes], bytes] = lambda data: data
        self.now = 0.0
        self.vanish_after: int | None = None
        self.vanished: Exception = OSError("gone")
        self.most_in_flight = 0
        self.closed = False
        self._out = bytearray()
        self._in = bytearray()
        self._sequence = self._credit = self._next_row = 0
        self._booted = 0.0
        self._state, self._request, self._image = "none", 0, b""
        self.controls, self.steer = list(controls), steer
        self.fragment_bytes, self.device_id = fragment_bytes, device_id
        self.controlled: list[bytes] = []
        self._reset_controls()

    # The port's side.

    def clock(self) -> float:
        return self.now

    @property
    def in_waiting(self) -> int:
        return len(self._out)

    def read(self, size: int = 1, /) -> bytes:
        if self.vanish_after is not None:
            self.vanish_after -= 1
            if self.vanish_after < 0:
                raise self.vanished
        if not self._out:
            self.now += 0.05
        data = bytes(self._out[:size])
        del self._out[:size]
        return data

    def write(self, data: bytes, /) -> int:
        self._in += self.hear(bytes(data))
        while (end := self._in.find(0)) >= 0:
            piece = bytes(self._in[:end])
            del self._in[: end + 1]
            if piece:
                self._take(piece)
        return len(data)

    def close(self) -> None:
        self.closed = True

    def say(self, data: bytes) -> None:
        """Put bytes on the line to the host."""
        self._out += data

    # The device's side.

    def send(self, kind: int, payload: bytes = b"", request: int = 0, *, bundle: int | None = None) -> None:
        """One frame, through the fault."""
        named = self.bundle if bundle is None else bundle
        raw = build(
            kind,
            payload,
            request=request,
            bundle=named,
            sequence=self._sequence & 0xFFFF,
            version=self.protocol,
        )
        self._sequence += 1
        for piece in [on_wire(raw)] if self.fault is None else self.fault(kind, raw):
            self._out += piece

    def reboot(self) -> None:
        """Power lost and back."""
        self._sequence = self._credit = self._next_row = 0
        self._state = "none"
        self._reset_controls()
        self._in.clear()
        self._booted = self.now

    def _take(self, piece: bytes) -> None:
        try:
            raw = cobs.decode(piece)
        except cobs.DecodeError:
            return
        if len(raw) < 20 or binascii.crc_hqx(raw[:14], 0xFFFF) != struct.unpack_from("<H", raw, 14)[0]:
            return
        if raw[0] != self.protocol:
            return
        kind, request, payload = split(raw)
        if len(raw) != 20 + struct.unpack_from("<H", raw, 12)[0]:
            return
        covered = raw[:-4] if self.protocol > 2 else payload
        damaged = zlib.crc32(covered) != struct.unpack_from("<I", raw, 16 + len(payload))[0]
        if kind == CONTROL:
            self._on_control(raw, request, payload, damaged)
        elif kind == ROWS:
            self._on_rows(raw, request, payload, damaged)
        elif not damaged and kind == HELLO_REQUEST:
            self._credit, self._state = 0, "none"
            self._reset_controls()
            self.send(HELLO, self.hello(), request if self.protocol > 1 else 0)
        elif not damaged and kind == STATS_REQUEST:
            self.send(LINK_STATS, struct.pack("<12I", *range(1, 13)))
        elif not damaged and kind == CAPTURE and self.source is not None:
            self._show(request, self.source())

    def _show(self, request: int, image: bytes) -> None:
        given = len(image) // self.row_bytes
        for row in range(given):
            pixels = image[row * self.row_bytes : (row + 1) * self.row_bytes]
            self.send(SOURCE_ROWS, struct.pack("<HH", row, 1) + pixels, request)
        if given < self.rows:
            self.send(REFUSED, b"\x08", request)

    @property
    def prefixed(self) -> bool:
        return bool(self.controls) or self.payload_bytes > self.fragment_bytes

    def hello(self) -> bytes:
        if self.protocol < 3:
            return bytes(96)
        u16, u32 = struct.Struct("<H").pack, struct.Struct("<I").pack
        optional = [(19, b"\1")] if self.prefixed else []
        optional += [(20, bytes(number for number, *_ in self.controls))] if self.controls else []
        optional += [(21, self.device_id)] if self.device_id else []
        return entries(
            (1, bytes([self.protocol])),
            (2, struct.pack("<BI", 1, 3 * 65536)),
            (3, u16(self.window)),
            (4, u16(4 + self.rows_per_frame * self.row_bytes)),
            (5, u16(self.rows) + u16(self.row_bytes)),
            (6, u32(8 * self.payload_bytes)),
            (7, u32(self.bundle)),
            (8, u32(0xB01D)),
            (9, u32(168_000_000)),
            (10, b"\1"),
            (11, b"fake-board"),
            (12, b"aot/fake"),
            (13, u32(10 | (self.pilot_bytes > 0) | 16 * (self.source is not None))),
            (14, b"\0\1\0"),
            (15, struct.pack("<Q", self.uptime_us())),
            (16, u32(self._sequence)),
            (17, u16(self.pilot_bytes)),
            (18, u16(self.fragment_bytes)),
            *optional,
            (200, b"of a later version"),
        )

    def _reset_controls(self) -> None:
        self._next = {number: default for number, _, _, default in self.controls}
        self._waiting: tuple[int, dict[int, int]] | None = None
        self.stream = 0

    def _on_control(self, raw: bytes, request: int, payload: bytes, damaged: bool) -> None:
        self._credit += 1
        self.send(CREDIT, struct.pack("<IH", self._credit, struct.unpack_from("<H", raw, 2)[0]))
        if damaged:
            self.send(REFUSED, b"\1", request)
            return
        self.controlled.append(payload)
        found: dict[int, int] = {}
        while payload:
            number, size = payload[:2]
            found[number] = int.from_bytes(payload[2 : 2 + size], "little")
            payload = payload[2 + size :]
        known = {number: (low, high) for number, low, high, _ in self.controls} | {0: (0, 65535)}
        if not found or any(number not in known for number in found):
            self.send(REFUSED, b"\7", request)
        elif any(not known[n][0] <= value <= known[n][1] for n, value in found.items()):
            self.send(REFUSED, b"\6", request)
        else:
            self.stream = found.pop(0, self.stream)
            before = self._waiting[1] if self._waiting else self._next
            self._waiting = (request, before | found)

    def uptime_us(self) -> int:
        return 1000 + round((self.now - self._booted) * 1e6)

    def _on_rows(self, raw: bytes, request: int, payload: bytes, damaged: bool) -> None:
        self._credit += 1
        self.send(CREDIT, struct.pack("<IH", self._credit, struct.unpack_from("<H", raw, 2)[0]))
        if struct.unpack_from("<I", raw, 4)[0] != self.bundle:
            self._refuse(request, 4)
            return
        if damaged:
            self._refuse(request, 1)
            return
        first, count = struct.unpack_from("<HH", payload)
        rows = payload[4:]
        if len(rows) != count * self.row_bytes or first + count > self.rows or not count:
            self._refuse(request, 3)
            return
        if first == 0:
            self._state, self._request, self._image = "rows", request, b""
            if self._waiting is not None and (request - self._waiting[0]) % 2**32 < 2**31:
                self._next, self._waiting = self._waiting[1], None
        elif self._state != "rows" or request != self._request or first != self._next_row:
            self._refuse(request, 2)
            return
        self._image += rows
        self._next_row = first + count
        if self._next_row == self.rows:
            self._state = "none"
            self._answer(request)
            stamp = self.uptime_us() & 0xFFFFFFFF
            self.send(IMAGE_STATS, struct.pack("<III", self.ticks, 512, stamp), request)

    def _refuse(self, request: int, reason: int) -> None:
        if self._state == "lost" and self._request == request:
            return
        self._state, self._request = "lost", request
        self.send(REFUSED, bytes([reason]), request)

    def _answer(self, request: int) -> None:
        """The codes of the image."""
        values = tuple(self._next[number] for number, *_ in self.controls)
        codes = self.encode(self._image) if self.steer is None else self.steer(self._image, values)
        if not self.prefixed and not self.stream:
            number = self._sequence & 0xFFFF
            self.send(CODES, with_pilots(codes, self.bundle, number, request, self.pilot_bytes), request)
            return
        for offset in range(0, max(1, len(codes)), self.fragment_bytes):
            piece = codes[offset : offset + self.fragment_bytes]
            last = LAST * (offset + len(piece) == len(codes))
            raw = part(
                piece,
                sequence=self._sequence,
                request=request,
                bundle=self.bundle,
                flags=last | STREAMED * (self.stream > 0),
                offset=offset,
                bits=8 * len(codes),
                values=values,
                pilots=self.pilot_bytes,
            )
            self._sequence += 1
            for wire in [on_wire(raw)] if self.fault is None else self.fault(CODES_PART, raw):
                self._out += wire
