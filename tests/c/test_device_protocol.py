"""The device's side of the protocol, played through board native with frames made by references."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from c import tiny_reference as tiny
from fakes.link_device import read_entries, with_pilots, without_pilots
from semflash.firmware.emulator.native import NativeDevice, NativePort
from vectors.make_frames import TYPES, flip, raw_frame, wire

NAMES = {value: name for name, value in TYPES.items()}
DAMAGED, ORDER, RANGE, FOREIGN = 1, 2, 3, 4
PILOTS = 4  # SF_LINK_PILOT_BYTES unless a build says otherwise


@pytest.fixture
def port(tiny_library):
    with NativePort(tiny_library, timeout=0) as open_port:
        yield open_port


def answers(port: NativePort) -> list[tuple[str, int, bytes]]:
    """Everything the device sent: type, request, payload; the frames themselves are checked."""
    data = port.read(1 << 20)
    result = []
    assert data.endswith(b"\0") or not data
    for piece in filter(None, data.split(b"\0")):
        raw = cobs.decode(piece)
        assert raw == raw_frame(
            raw[1],
            raw[16:-4],
            sequence=int.from_bytes(raw[2:4], "little"),
            bundle=tiny.BUNDLE,
            request=int.from_bytes(raw[8:12], "little"),
        )
        payload = raw[16:-4]
        if raw[1] == TYPES["CODES"]:
            codes, sequence = without_pilots(payload, PILOTS), int.from_bytes(raw[2:4], "little")
            request = int.from_bytes(raw[8:12], "little")
            assert payload == with_pilots(codes, tiny.BUNDLE, sequence, request, PILOTS)
            payload = codes
        result.append((NAMES[raw[1]], int.from_bytes(raw[8:12], "little"), payload))
    return result


def rows(image: np.ndarray, first: int, count: int, request: int, bundle: int = tiny.BUNDLE) -> bytes:
    """A ROWS frame before COBS."""
    pixels = image[first : first + count].tobytes()
    head = struct.pack("<HH", first, count)
    return raw_frame(TYPES["ROWS"], head + pixels, bundle=bundle, request=request)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (28, 28)).astype(np.int8)


def send_image(port: NativePort, image: np.ndarray, request: int, step: int = 28) -> None:
    for first in range(0, 28, step):
        port.write(wire(rows(image, first, min(step, 28 - first), request)))


def request(kind: str, bundle: int = 0) -> bytes:
    return wire(raw_frame(TYPES[kind], bundle=bundle, request=0))


def test_hello_says_what_the_contract_says(port):
    port.write(request("HELLO_REQUEST"))
    [(name, number, hello)] = answers(port)
    assert (name, number) == ("HELLO", 0)
    found = read_entries(hello)
    assert set(found) == set(range(1, 19)), "neither prefix, controls nor an identity"
    assert found[1] == b"\3" and found[2] == bytes(5)
    assert int.from_bytes(found[3], "little") >= 1 and int.from_bytes(found[4], "little") >= 4 + 28
    assert struct.unpack("<HH", found[5]) == (28, 28) and struct.unpack("<I", found[6]) == (144,)
    assert struct.unpack("<II", found[7] + found[8]) == (tiny.BUNDLE, 0xC0FFEE)
    assert found[11] == b"native" and found[12] == b"test/handmade"
    assert struct.unpack("<I", found[13]) == (0b1011,), "pilots, time, stream"
    assert struct.unpack("<IHH", found[16] + found[17] + found[18]) == (0, PILOTS, 4096 - 10 - PILOTS)


def test_hello_starts_with_a_delimiter_for_a_host_that_attached_within_a_frame(port):
    port.write(request("HELLO_REQUEST"))
    assert port.read(1) == b"\0"


def test_hello_is_answered_whatever_bundle_is_asked_for(port):
    port.write(request("HELLO_REQUEST", bundle=0xBAD))
    assert [name for name, *_ in answers(port)] == ["HELLO"]


@pytest.mark.parametrize("step", [1, 3, 14, 27, 28])
def test_an_image_is_answered_by_credit_codes_and_stats(port, step):
    image = picture(step)
    send_image(port, image, 41, step)
    frames = -(-28 // step)
    got = answers(port)
    granted = [struct.unpack("<IH", payload) for name, _, payload in got if name == "CREDIT"]
    assert granted == [(number, 1) for number in range(1, frames + 1)]
    rest = [(name, number) for name, number, _ in got if name != "CREDIT"]
    assert rest == [("CODES", 41), ("IMAGE_STATS", 41)]
    assert next(payload for name, _, payload in got if name == "CODES") == tiny.payload(image)
    assert len(got[-1][2]) == 12


def test_bytewise_and_in_one_piece_give_the_same_answers(tiny_library):
    stream = request("HELLO_REQUEST") + b"".join(
        wire(rows(picture(i), first, 14, i)) for i in range(3) for first in (0, 14)
    )
    with NativePort(tiny_library, timeout=0) as whole, NativePort(tiny_library, timeout=0) as bytewise:
        whole.write(stream)
        for byte in stream:
            bytewise.write(bytes([byte]))
        assert timeless(answers(whole)) == timeless(answers(bytewise))


def timeless(got: list[tuple[str, int, bytes]]) -> list[tuple[str, int, bytes]]:
    """Without the device's clock."""

    def cut(kind: str, payload: bytes) -> bytes:
        if kind == "HELLO":
            return payload.replace(read_entries(payload)[15], b"")
        return payload[:8] if kind == "IMAGE_STATS" else payload

    return [(kind, number, cut(kind, payload)) for kind, number, payload in got]


def refusals(port: NativePort) -> list[tuple[int, int]]:
    return [(number, payload[0]) for name, number, payload in answers(port) if name == "REFUSED"]


def test_a_damaged_rows_frame_is_refused_and_the_image_can_be_sent_again(port):
    image = picture(1)
    port.write(wire(flip(rows(image, 0, 14, 5), 8 * 40)))
    port.write(wire(rows(image, 14, 14, 5)))
    got = answers(port)
    assert [name for name, *_ in got] == ["CREDIT", "REFUSED", "CREDIT"]
    assert got[1][1:] == (5, bytes([DAMAGED]))
    send_image(port, image, 5)
    assert ("CODES", 5, tiny.payload(image)) in answers(port)


@pytest.mark.parametrize(
    ("first", "count", "cut", "reason"),
    [
        (14, 14, 0, ORDER),
        (0, 29, 0, RANGE),
        (27, 2, 0, RANGE),
        (0, 0, 0, RANGE),
        (0, 2, 1, RANGE),
        (0xFFFF, 0xFFFF, 0, RANGE),
        (1, 27, 0, ORDER),
    ],
)
def test_rows_that_do_not_fit_are_refused(port, first, count, cut, reason):
    pixels = bytes(min(count * 28, 1000) - cut)
    port.write(wire(raw_frame(TYPES["ROWS"], struct.pack("<HH", first, count) + pixels, bundle=tiny.BUNDLE)))
    assert refusals(port) == [(7, reason)]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_rows_frame_without_its_row_numbers_is_refused(port, length):
    port.write(wire(raw_frame(TYPES["ROWS"], bytes(length), bundle=tiny.BUNDLE)))
    assert refusals(port) == [(7, RANGE)]


def test_rows_for_another_bundle_are_refused(port):
    port.write(wire(rows(picture(0), 0, 28, 9, bundle=tiny.BUNDLE ^ 1)))
    assert refusals(port) == [(9, FOREIGN)]


def test_a_repeated_or_skipped_row_and_rows_of_another_image_are_refused(port):
    image = picture(2)
    for second in (rows(image, 7, 7, 1), rows(image, 21, 7, 1), rows(image, 14, 7, 2)):
        port.write(request("HELLO_REQUEST"))
        port.write(wire(rows(image, 0, 14, 1)))
        port.write(wire(second))
        assert [reason for _, reason in refusals(port)] == [ORDER]


def test_row_0_starts_a_new_image_and_forgets_an_unfinished_one(port):
    port.write(wire(rows(picture(3), 0, 20, 1)))
    send_image(port, picture(4), 2, 14)
    codes = [(number, payload) for name, number, payload in answers(port) if name == "CODES"]
    assert codes == [(2, tiny.payload(picture(4)))]


def test_hello_drops_a_half_received_image_and_resets_the_credit(port):
    port.write(wire(rows(picture(3), 0, 20, 1)) + request("HELLO_REQUEST") + wire(rows(picture(3), 20, 8, 1)))
    got = answers(port)
    assert [name for name, *_ in got] == ["CREDIT", "HELLO", "CREDIT", "REFUSED"]
    assert [payload for name, _, payload in got if name == "CREDIT"] == [struct.pack("<IH", 1, 1)] * 2


def stats(port: NativePort) -> list[int]:
    port.write(request("STATS_REQUEST"))
    return list(struct.unpack("<12I", next(p for name, _, p in answers(port) if name == "LINK_STATS")))


def test_every_frame_is_counted_once(port):
    image = picture(0)
    good = rows(image, 0, 14, 1)
    lines = [
        request("HELLO_REQUEST"),  # ok
        wire(good),  # ok
        b"\x09abc\0",  # broken COBS
        wire(flip(good, 3)),  # header
        wire(raw_frame(TYPES["ROWS"], version=9)),  # version
        wire(raw_frame(TYPES["CODES"], b"x")),  # a type that only devices send
        wire(raw_frame(0x02, b"abcd", length=3)),  # length
        wire(raw_frame(TYPES["HELLO_REQUEST"], b"x")),  # length: takes no payload
        wire(flip(good, 8 * 50)),  # payload CRC
        wire(rows(image, 0, 14, 1, bundle=1)),  # foreign
    ]
    port.write(b"".join(lines))
    assert stats(port)[:8] == [3, 1, 1, 2, 2, 1, 1, 0]  # ok: HELLO, ROWS and STATS_REQUEST itself


@pytest.mark.parametrize("first", [0, 100, 0xFFF0])
def test_each_number_of_a_frame_is_lost_repeated_or_late_as_a_list_of_them_says(port, first):
    """first: of the host's numbers, which begin again behind 0xFFFF. The device remembers the latest 32."""
    steps = [0, 1, 2, 5, 3, 3, 40, 39, 9, 8, 39, 41, 41, 72, 71, 40, 41]
    came, latest, lost, repeated, late = {0}, 0, 0, 0, 0
    for step in steps[1:]:
        if step > latest:
            lost += step - latest - 1
        elif step in came or step <= latest - 32:
            repeated += 1
        else:
            lost, late = lost - 1, late + 1
        came.add(step)
        latest = max(latest, step)
    numbers = [(first + step) & 0xFFFF for step in steps]
    port.write(b"".join(wire(raw_frame(TYPES["STATS_REQUEST"], sequence=number)) for number in numbers))
    told = [struct.unpack("<12I", p) for name, _, p in answers(port) if name == "LINK_STATS"]
    assert len(told) == len(steps)
    assert told[-1][9:] == (lost, repeated, late)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_image_ever_gets_another_images_codes_on_a_bad_line(tiny_library, seed):
    """Frames are flipped, cut, dropped and doubled: what is answered is right, and HELLO works at the end."""
    rng = random.Random(seed)
    images = {number: picture(seed % 1000 + number) for number in range(1, 7)}
    with NativePort(tiny_library, timeout=0) as port:
        for number, image in images.items():
            step = rng.choice([4, 7, 14, 28])
            for first in range(0, 28, step):
                line = wire(rows(image, first, min(step, 28 - first), number))
                fault = rng.random()
                if fault < 0.1:
                    line = flip(line, rng.randrange(8 * len(line)))
                elif fault < 0.15:
                    line = line[: rng.randrange(len(line))]
                elif fault < 0.2:
                    line = line + line
                elif fault < 0.25:
                    line = b""
                port.write(line)
        for name, number, payload in answers(port):
            if name == "CODES":
                assert payload == tiny.payload(images[number])
        port.write(b"\0" + request("HELLO_REQUEST"))
        assert answers(port)[-1][0] == "HELLO"


def test_the_protocol_and_the_direct_call_give_the_same_payloads(port, tiny_library):
    images = np.stack([picture(i) for i in range(20)])
    direct = NativeDevice(tiny_library).encode(images[..., None])
    for i, image in enumerate(images):
        send_image(port, image, i + 1)
    streamed = [payload for name, _, payload in answers(port) if name == "CODES"]
    assert streamed == [row.tobytes() for row in direct] == [tiny.payload(image) for image in images]


def test_an_image_of_the_boards_own_source_is_sent_like_a_host_fed_one(harness):
    out, n = harness.ffi.new("uint8_t[]", 400), harness.ffi.new("size_t *")
    assert harness.lib.harness_capture(99, 400, out, 400, n) == 0
    codes, image_stats = [cobs.decode(p) for p in bytes(harness.ffi.buffer(out, n[0])).split(b"\0")[:-1]]
    image = (np.arange(28 * 28) % 251 - 128).astype(np.int8).reshape(28, 28)
    assert codes[1] == TYPES["CODES"] and codes[16:-4] == tiny.payload(image)
    assert image_stats[1] == TYPES["IMAGE_STATS"] and image_stats[8:12] == (77).to_bytes(4, "little")


def test_a_frame_after_one_that_the_line_cut_off_is_whole_for_the_receiver(harness):
    out, n = harness.ffi.new("uint8_t[]", 400), harness.ffi.new("size_t *")
    assert harness.lib.harness_capture(99, 400, out, 400, n) == 0
    whole, torn = n[0], 0
    for broken_at in range(whole):
        assert harness.lib.harness_capture(99, broken_at, out, 400, n) == 0
        line = bytes(harness.ffi.buffer(out, n[0]))
        *before, codes, image_stats, end = line.split(b"\0")
        assert end == b"" and [cobs.decode(p)[1] for p in (codes, image_stats)] == [0x82, 0x83]
        assert cobs.decode(codes)[8:12] == (77).to_bytes(4, "little")
        torn += any(before[-1:])
    assert torn > 0, "no frame was cut in the middle"


def test_a_failing_source_is_reported_as_refused(harness):
    out, n = harness.ffi.new("uint8_t[]", 400), harness.ffi.new("size_t *")
    assert harness.lib.harness_capture(11, 400, out, 400, n) == -10
    [refused] = [cobs.decode(p) for p in bytes(harness.ffi.buffer(out, n[0])).split(b"\0")[:-1]]
    assert refused[1] == TYPES["REFUSED"] and refused[16] == 5
