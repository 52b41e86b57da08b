"""Pictures of the board's own source for the host: CAPTURE and SOURCE_ROWS; frames are made by references."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from cobs import cobs

from c import tiny_reference as tiny
from fakes.link_device import read_entries
from vectors.make_frames import TYPES, flip, raw_frame, wire

NAMES = {value: name for name, value in TYPES.items()}
#: What the harness' sensor gives.
PICTURE = (np.arange(28 * 28) % 251 - 128).astype(np.int8).reshape(28, 28)
NEVER, ROOM = 99, 8000
BUNDLE, SOURCE = 4, 8  # reasons of REFUSED


def capture(request: int = 9, payload: bytes = b"", bundle: int = tiny.BUNDLE) -> bytes:
    return raw_frame(TYPES["CAPTURE"], payload, bundle=bundle, request=request)


def shown(harness: Any, line: bytes, fail_at: int = NEVER, room: int = ROOM) -> tuple[int, list[bytes]]:
    """Status, and the frames that the device sent, before COBS; each must be the reference's."""
    out, n = harness.ffi.new("uint8_t[]", ROOM), harness.ffi.new("size_t *")
    status = harness.lib.harness_show(fail_at, line, len(line), out, room, n)
    sent = bytes(harness.ffi.buffer(out, n[0]))
    frames = [cobs.decode(piece) for piece in sent.split(b"\0")[:-1] if piece]
    for raw in frames:
        assert raw == raw_frame(
            raw[1],
            raw[16:-4],
            sequence=int.from_bytes(raw[2:4], "little"),
            bundle=tiny.BUNDLE,
            request=int.from_bytes(raw[8:12], "little"),
        )
    return status, frames


def names(frames: list[bytes]) -> list[str]:
    return [NAMES[raw[1]] for raw in frames]


def test_capture_gives_the_rows_of_the_source_as_they_are(harness: Any) -> None:
    status, frames = shown(harness, wire(capture(request=0xFFFF_FFFE)))
    assert status == 0 and names(frames) == ["SOURCE_ROWS"] * 28
    for number, raw in enumerate(frames):
        assert int.from_bytes(raw[8:12], "little") == 0xFFFF_FFFE
        assert raw[16:-4] == struct.pack("<HH", number, 1) + PICTURE[number].tobytes()
    assert [int.from_bytes(raw[2:4], "little") for raw in frames] == list(range(28))


def test_an_image_that_comes_in_meanwhile_goes_on(harness: Any) -> None:
    image = np.random.default_rng(1).integers(-128, 128, (28, 28)).astype(np.int8)

    def rows(first: int, count: int) -> bytes:
        return b"".join(
            wire(
                raw_frame(
                    TYPES["ROWS"],
                    struct.pack("<HH", row, 1) + image[row].tobytes(),
                    bundle=tiny.BUNDLE,
                    request=5,
                )
            )
            for row in range(first, first + count)
        )

    status, frames = shown(harness, rows(0, 11) + wire(capture()) + rows(11, 17))
    found = [raw for raw in frames if NAMES[raw[1]] not in ("CREDIT", "SOURCE_ROWS")]
    assert status == 0 and names(found) == ["CODES", "IMAGE_STATS"]
    assert found[0][16:-4] == tiny.payload(image)
    assert names(frames).count("SOURCE_ROWS") == 28


@pytest.mark.parametrize("fail_at", [0, 13, 27])
def test_a_source_that_fails_is_refused_behind_the_rows_it_gave(harness: Any, fail_at: int) -> None:
    status, frames = shown(harness, wire(capture(request=6)), fail_at)
    assert status == 0 and names(frames) == ["SOURCE_ROWS"] * fail_at + ["REFUSED"]
    assert frames[-1][16:-4] == bytes([SOURCE]) and frames[-1][8:12] == (6).to_bytes(4, "little")


def test_what_is_no_capture_of_this_bundle_gives_no_picture(harness: Any) -> None:
    status, frames = shown(harness, wire(capture(bundle=0x1234_5678, request=3)))
    assert status == 0 and names(frames) == ["REFUSED"] and frames[0][16:-4] == bytes([BUNDLE])
    stats = wire(raw_frame(TYPES["STATS_REQUEST"], bundle=tiny.BUNDLE))
    for line, counter in (
        (wire(flip(capture(), 8 * 17)), 5),  # a bit of the CRC-32
        (wire(capture(payload=b"x")), 4),
    ):
        status, frames = shown(harness, line + stats)
        assert status == 0 and names(frames) == ["LINK_STATS"]
        assert struct.unpack_from("<12I", frames[0], 16)[counter] == 1


def test_a_line_that_breaks_is_an_error_wherever_it_does(harness: Any) -> None:
    line = wire(capture())
    whole = sum(len(wire(raw)) for raw in shown(harness, line)[1])
    for room in range(0, whole, 7):
        assert shown(harness, line, room=room)[0] == -10
    assert shown(harness, line, room=whole)[0] == 0


def test_hello_announces_a_source_only_where_there_is_one(harness: Any, tiny_library: Any) -> None:
    from semflash.firmware.emulator.native import NativePort

    request = wire(raw_frame(TYPES["HELLO_REQUEST"], request=5))
    _, frames = shown(harness, request)
    assert read_entries(frames[0][16:-4])[13] == struct.pack("<I", 0b11000)
    with NativePort(tiny_library, timeout=0) as port:
        port.write(request)
        [hello] = [cobs.decode(piece) for piece in port.read(1 << 20).split(b"\0") if piece]
        assert struct.unpack("<I", read_entries(hello[16:-4])[13])[0] & 0b10000 == 0
        port.write(wire(capture()) + wire(raw_frame(TYPES["STATS_REQUEST"], bundle=tiny.BUNDLE)))
        [stats] = [cobs.decode(piece) for piece in port.read(1 << 20).split(b"\0") if piece]
        assert struct.unpack_from("<12I", stats, 16)[3] == 1  # a type it does not know
