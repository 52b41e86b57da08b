"""CONTROL, fragments and codes that leave early: board native, with frames made by references."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs

from c import tiny_reference as tiny
from fakes.link_device import LAST, STREAMED, part, read_entries, setting, without_pilots
from semflash.firmware.emulator.native import NativePort
from vectors.make_frames import TYPES, flip, raw_frame, wire

NAMES = {value: name for name, value in TYPES.items()}
RANGE, UNKNOWN = 6, 7
LIMIT, IDLE, STREAM = 9, 3, 0
FRAGMENT, PILOTS = 7, 4
Answer = tuple[str, int, bytes]


@pytest.fixture
def port(steered_library: Path) -> Iterator[NativePort]:
    with NativePort(steered_library, timeout=0) as opened:
        yield opened


@pytest.fixture
def plain(tiny_library: Path) -> Iterator[NativePort]:
    with NativePort(tiny_library, timeout=0) as opened:
        yield opened


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (28, 28)).astype(np.int8)


def rows(image: np.ndarray, request: int, first: int = 0, count: int = 28) -> bytes:
    head = struct.pack("<HH", first, count)
    pixels = image[first : first + count].tobytes()
    return wire(raw_frame(TYPES["ROWS"], head + pixels, bundle=tiny.BUNDLE, request=request))


def control(payload: bytes, request: int = 0, bundle: int = tiny.BUNDLE) -> bytes:
    return wire(raw_frame(TYPES["CONTROL"], payload, bundle=bundle, request=request))


def frames(port: NativePort) -> list[bytes]:
    """Everything the device sent, before COBS."""
    return [cobs.decode(piece) for piece in port.read(1 << 20).split(b"\0") if piece]


def answers(port: NativePort) -> list[Answer]:
    """Type, request and payload of everything the device sent but CREDIT."""
    return [
        (NAMES[raw[1]], int.from_bytes(raw[8:12], "little"), raw[16:-4])
        for raw in frames(port)
        if raw[1] != TYPES["CREDIT"]
    ]


def parts(sent: list[bytes], controls: int) -> list[tuple[int, int, int, tuple[int, ...], bytes]]:
    """Flags, offset, bits, values and codes of CODES_PART frames, each of which must be the reference's."""
    found = []
    for raw in sent:
        if raw[1] != TYPES["CODES_PART"]:
            continue
        sequence, request = int.from_bytes(raw[2:4], "little"), int.from_bytes(raw[8:12], "little")
        flags, count, offset, bits = struct.unpack_from("<BBHI", raw, 16)
        values = struct.unpack_from(f"<{count}H", raw, 24)
        codes = without_pilots(raw[16 + 10 + 2 * count : -4], PILOTS)
        assert count == controls
        assert raw == part(
            codes,
            sequence=sequence,
            request=request,
            bundle=tiny.BUNDLE,
            flags=flags,
            offset=offset,
            bits=bits,
            values=values,
            pilots=PILOTS,
        )
        found.append((flags, offset, bits, values, codes))
    return found


def image_of(port: NativePort, seed: int, request: int) -> tuple[bytes, int, tuple[int, ...]]:
    """Payload, bits and control values of an image that is sent now."""
    port.write(rows(picture(seed), request))
    found = parts(frames(port), 2)
    assert [offset for _, offset, *_ in found] == list(range(0, len(found) * FRAGMENT, FRAGMENT))
    assert [flags for flags, *_ in found] == [0] * (len(found) - 1) + [LAST]
    assert len({(bits, values) for _, _, bits, values, _ in found}) == 1
    return b"".join(codes for *_, codes in found), found[0][2], found[0][3]


def test_hello_names_controls_prefix_fragment_and_identity(port: NativePort) -> None:
    port.write(wire(raw_frame(TYPES["HELLO_REQUEST"], request=5)))
    [(name, number, payload)] = answers(port)
    found = read_entries(payload)
    assert (name, number) == ("HELLO", 5)
    assert found[19] == b"\1" and found[20] == bytes([IDLE, LIMIT]) and found[21] == b"\xde\1\2"
    assert struct.unpack("<I", found[6]) == (144,) and struct.unpack("<H", found[18]) == (FRAGMENT,)


def test_hello_of_a_program_without_controls_announces_no_prefix(plain: NativePort) -> None:
    plain.write(wire(raw_frame(TYPES["HELLO_REQUEST"])))
    found = read_entries(answers(plain)[0][2])
    assert not {19, 20, 21} & set(found)
    assert struct.unpack("<H", found[18]) == (4096 - 10 - PILOTS,)


def test_a_payload_is_cut_where_a_control_says_and_the_values_come_back(port: NativePort) -> None:
    whole = tiny.payload(picture(1))
    assert image_of(port, 1, 100) == (whole, 144, (5, 18))
    for number, limit in enumerate(range(4, 19)):
        port.write(control(setting(LIMIT, limit)))
        assert image_of(port, 1, 101 + number) == (*tiny.cut(whole, limit), (5, limit))


def test_values_hold_from_the_named_image_on(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6) + setting(IDLE, 77), request=50))
    answers(port)
    assert image_of(port, 1, 49)[2] == (5, 18)
    assert image_of(port, 2, 50)[2] == (77, 6)
    assert image_of(port, 3, 51)[2] == (5, 6), "only sticky ones hold on"


def test_a_named_image_that_never_came_does_not_keep_values_back(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6), request=2**32 - 1))
    answers(port)
    assert image_of(port, 1, 3)[2] == (5, 6), "3 is behind 2^32 - 1"


def test_a_second_control_adds_to_what_waits(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6), request=50) + control(setting(IDLE, 9), request=60))
    answers(port)
    assert image_of(port, 1, 55)[2] == (5, 18)
    assert image_of(port, 2, 60)[2] == (9, 6)


def test_the_same_control_twice_does_what_one_does(port: NativePort) -> None:
    port.write(2 * control(setting(LIMIT, 6, size=4), request=7))
    answers(port)
    assert image_of(port, 1, 7)[2] == (5, 6)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (setting(LIMIT, 3), RANGE),
        (setting(LIMIT, 19), RANGE),
        (setting(LIMIT, 65536 + 6, size=4), RANGE),
        (setting(STREAM, 65536, size=4), RANGE),
        (setting(8, 6), UNKNOWN),
        (setting(IDLE, 1) + setting(LIMIT, 99), RANGE),
        (b"", UNKNOWN),
        (setting(LIMIT, 6)[:3], UNKNOWN),
        (setting(LIMIT, 6) + b"\x03", UNKNOWN),
        (bytes([LIMIT, 1, 6]), UNKNOWN),
        (bytes([LIMIT, 255]) + bytes(60), UNKNOWN),
    ],
)
def test_a_control_that_cannot_be_obeyed_is_refused_and_changes_nothing(
    port: NativePort, payload: bytes, reason: int
) -> None:
    port.write(rows(picture(1), 5, 0, 14))
    port.write(control(payload, request=6))
    assert answers(port) == [("REFUSED", 6, bytes([reason]))]
    port.write(rows(picture(1), 5, 14, 14))
    assert parts(frames(port), 2)[0][3] == (5, 18), "the image that was coming in is not disturbed"
    assert image_of(port, 1, 6)[2] == (5, 18)


def test_a_damaged_or_foreign_control_is_refused(port: NativePort) -> None:
    raw = raw_frame(TYPES["CONTROL"], setting(LIMIT, 6), bundle=tiny.BUNDLE)
    port.write(wire(flip(raw, 8 * 18)) + control(setting(LIMIT, 6), request=8, bundle=1))
    assert answers(port) == [("REFUSED", 7, b"\1"), ("REFUSED", 8, b"\4")]
    assert image_of(port, 1, 9)[2] == (5, 18)


def test_control_frames_are_credited(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6)) + control(b""))
    counts = [struct.unpack("<I", raw[16:20])[0] for raw in frames(port) if raw[1] == TYPES["CREDIT"]]
    assert counts == [1, 2]


def test_hello_sets_all_controls_to_their_defaults(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6)) + control(setting(IDLE, 1), request=90))
    port.write(wire(raw_frame(TYPES["HELLO_REQUEST"])))
    answers(port)
    assert image_of(port, 1, 95)[2] == (5, 18)


def streamed(port: NativePort, least: int, step: int) -> list[tuple[int, int, int, bytes]]:
    """Flags, offset, bits and codes of the fragments of an image whose rows come `step` by `step`."""
    port.write(control(setting(STREAM, least)))
    for first in range(0, 28, step):
        port.write(rows(picture(4), 30, first, step))
    sent = frames(port)
    order = [NAMES[raw[1]] for raw in sent]
    assert order[-1] == "IMAGE_STATS" and order[-2] == "CODES_PART"
    return [(flags, offset, bits, codes) for flags, offset, bits, _, codes in parts(sent, 0)]


def test_codes_leave_while_rows_come_in_and_are_the_same_codes(plain: NativePort) -> None:
    """Seven rows complete four positions, 36 bits; so 4, 9, 13 and 18 whole bytes are ready."""
    found = streamed(plain, 1, 7)
    assert [(flags, offset, bits) for flags, offset, bits, _ in found] == [
        (STREAMED, 0, 0),
        (STREAMED, 4, 0),
        (STREAMED, 9, 0),
        (STREAMED | LAST, 13, 144),
    ]
    assert b"".join(codes for *_, codes in found) == tiny.payload(picture(4))


def test_codes_leave_when_as_many_are_ready_as_the_control_says(plain: NativePort) -> None:
    assert [offset for _, offset, _, _ in streamed(plain, 9, 7)] == [0, 9]
    assert [offset for _, offset, _, _ in streamed(plain, 19, 7)] == [0]
    assert [offset for _, offset, _, _ in streamed(plain, 1, 28)] == [0]


def test_without_the_control_codes_come_in_one_frame_without_a_prefix(plain: NativePort) -> None:
    streamed(plain, 1, 7)
    plain.write(control(setting(STREAM, 0)))
    for first in range(0, 28, 7):
        plain.write(rows(picture(4), 31, first, 7))
    sent = answers(plain)
    assert [name for name, *_ in sent] == ["CODES", "IMAGE_STATS"]
    assert without_pilots(sent[0][2], PILOTS) == tiny.payload(picture(4))


def test_hello_ends_streaming(plain: NativePort) -> None:
    plain.write(control(setting(STREAM, 1)) + wire(raw_frame(TYPES["HELLO_REQUEST"])))
    answers(plain)
    plain.write(rows(picture(4), 31, 0, 7) + rows(picture(4), 31, 7, 21))
    assert [name for name, *_ in answers(plain)] == ["CODES", "IMAGE_STATS"]


def test_a_value_for_one_image_is_not_used_again_by_one_that_another_waits_for(port: NativePort) -> None:
    port.write(control(setting(IDLE, 77)) + control(setting(LIMIT, 6), request=50))
    answers(port)
    assert image_of(port, 1, 49)[2] == (77, 18)
    assert image_of(port, 2, 50)[2] == (5, 6)


def test_a_sticky_value_holds_on_when_another_control_that_waited_begins(port: NativePort) -> None:
    port.write(control(setting(IDLE, 77), request=50) + control(setting(LIMIT, 9)))
    answers(port)
    assert image_of(port, 1, 49)[2] == (5, 9)
    assert image_of(port, 2, 50)[2] == (77, 9)
    assert image_of(port, 3, 51)[2] == (5, 9)


def test_what_waits_is_obeyed_though_the_next_image_has_the_same_value(port: NativePort) -> None:
    port.write(control(setting(LIMIT, 6), request=50) + control(setting(LIMIT, 9)))
    answers(port)
    assert image_of(port, 1, 49)[2] == (5, 9)
    assert image_of(port, 2, 50)[2] == (5, 6)
