"""CRC and COBS of the device against binascii, zlib and the `cobs` package."""

from __future__ import annotations

import binascii
import zlib

import pytest
from cobs import cobs
from hypothesis import example, given
from hypothesis import strategies as st

SF_OK, SF_MORE, SF_ERR_COBS, SF_ERR_IO = 0, 1, -6, -10


@given(st.binary(max_size=600))
@example(b"123456789")
def test_crc16_is_ccitt_false(harness, data):
    assert harness.lib.harness_crc16(data, len(data)) == binascii.crc_hqx(data, 0xFFFF)


@given(st.binary(max_size=600))
@example(b"123456789")
def test_crc32_is_that_of_zlib(harness, data):
    assert harness.lib.harness_crc32(data, len(data)) == zlib.crc32(data)


def encode(harness, data: bytes, room: int | None = None) -> bytes | int:
    """COBS of the device with its delimiter, or the status."""
    size = len(data) + len(data) // 254 + 2 if room is None else room
    out = harness.ffi.new("uint8_t[]", max(size, 1))
    n = harness.lib.harness_cobs_encode(data, len(data), out, size)
    return int(n) if n < 0 else bytes(harness.ffi.buffer(out, n))


def decode(harness, wire: bytes, capacity: int) -> tuple[int, int, bytes]:
    """Status, counted length and what was stored."""
    out = harness.ffi.new("uint8_t[]", max(capacity, 1))
    length = harness.ffi.new("size_t *")
    status = harness.lib.harness_cobs_decode(wire, len(wire), out, capacity, length)
    return int(status), int(length[0]), bytes(harness.ffi.buffer(out, min(length[0], capacity)))


blocks = st.lists(
    st.sampled_from([b"\0", b"\x01", b"\xff" * 253, b"\xff" * 254, b"\xff" * 255, b"ab"]), max_size=8
)


@given(st.one_of(st.binary(max_size=1200), blocks.map(b"".join)))
def test_cobs_encoding_is_that_of_the_cobs_package(harness, data):
    assert encode(harness, data) == cobs.encode(data) + b"\0"


@given(st.one_of(st.binary(max_size=1200), blocks.map(b"".join)))
def test_cobs_decoding_is_that_of_the_cobs_package(harness, data):
    status, length, stored = decode(harness, cobs.encode(data) + b"\0", len(data))
    assert (status, length, stored) == (SF_OK, len(data), data)


@given(st.lists(st.integers(1, 255), max_size=700).map(bytes))
def test_any_bytes_between_delimiters_decode_as_the_cobs_package_says(harness, garbage):
    status, length, stored = decode(harness, garbage + b"\0", 1000)
    if not garbage:
        assert status == SF_MORE
        return
    try:
        expected = cobs.decode(garbage)
    except cobs.DecodeError:
        assert status == SF_ERR_COBS
    else:
        assert (status, length, stored) == (SF_OK, len(expected), expected)


def test_a_frame_longer_than_the_buffer_is_counted_and_not_stored(harness):
    status, length, stored = decode(harness, cobs.encode(bytes(range(1, 101))) + b"\0", 10)
    assert (status, length, stored) == (SF_OK, 11, bytes(range(1, 11)))


@pytest.mark.parametrize("room", [0, 1, 255, 256, 500])
def test_a_port_that_takes_no_more_bytes_ends_the_encoding(harness, room):
    assert encode(harness, b"x" * 600, room) == SF_ERR_IO
