"""Damaged codes are given to an image only where pilots and later frame numbers vouch for their header."""

from __future__ import annotations

import random

import pytest

from fakes.link_device import (
    CODES,
    CREDIT,
    IMAGE_STATS,
    LAST,
    build,
    digest_codes,
    on_wire,
    part,
    with_pilots,
)
from semflash.link.codes.custody import BadPrefix, Believed, Custody, Misplaced
from semflash.link.codes.fragments import CodesFormat
from semflash.link.codes.pilots import BER_MAX, FALSE_ALARM, errors_allowed
from semflash.link.frame import Drop, Dropped, Frame, FrameDecoder, FrameType

BUNDLE, CODE_BYTES, PILOTS = 0xA1B2C3D4, 48, 4
FORM = CodesFormat(8 * CODE_BYTES, pilot_bytes=PILOTS)
#: Of a program with two controls.
STEERED = CodesFormat(8 * 200, controls=2, pilot_bytes=PILOTS, prefix=True)
PREFIX_BYTES = 14


def codes(number: int, request: int) -> bytes:
    """A CODES frame before COBS."""
    payload = digest_codes(request.to_bytes(4, "little"), CODE_BYTES)
    payload = with_pilots(payload, BUNDLE, number & 0xFFFF, request, PILOTS)
    return build(CODES, payload, request=request, bundle=BUNDLE, sequence=number & 0xFFFF)


def stats(number: int, request: int) -> bytes:
    """An IMAGE_STATS frame before COBS."""
    return build(IMAGE_STATS, bytes(12), request=request, bundle=BUNDLE, sequence=number & 0xFFFF)


def credit(number: int) -> bytes:
    """A CREDIT frame before COBS."""
    return build(CREDIT, bytes(6), bundle=BUNDLE, sequence=number & 0xFFFF)


def flip(raw: bytes, *places: int) -> bytes:
    """The lowest bits of some payload bytes flipped."""
    changed = bytearray(raw)
    for place in places:
        changed[16 + place] ^= 1
    return bytes(changed)


def believed(*raws: bytes, custody: Custody | None = None) -> list[Believed]:
    """What becomes of frames before COBS."""
    custody = custody or Custody(BUNDLE, FORM)
    events = FrameDecoder().feed(b"".join(on_wire(raw) for raw in raws))
    return [found for event in events for found in custody.take(event)]


def kinds(found: list[Believed]) -> list[str]:
    """For comparisons: CODES (damaged in small letters) and other types, misplaced, dropped."""
    words = []
    for one in found:
        if isinstance(one, Frame):
            words.append(one.type.name.lower() if one.damaged else one.type.name)
        else:
            words.append(
                "misplaced"
                if isinstance(one, Misplaced)
                else "bad prefix"
                if isinstance(one, BadPrefix)
                else "dropped"
            )
    return words


def test_damaged_codes_are_given_out_with_the_frame_after_them_in_the_order_of_their_numbers() -> None:
    assert kinds(believed(flip(codes(7, 1), 3), stats(8, 1))) == ["codes", "IMAGE_STATS"]
    assert kinds(believed(flip(codes(0xFFFF, 1), 3), stats(0, 1))) == ["codes", "IMAGE_STATS"]
    assert kinds(believed(flip(codes(7, 1), 3))) == [], "nothing has vouched for them yet"


@pytest.mark.parametrize("tail", range(3, 16 + CODE_BYTES + PILOTS))
def test_a_splice_is_never_given_out(tail: int) -> None:
    """The first two bytes of both frames are the same."""
    head, other = codes(7, 1), codes(10, 2)
    found = kinds(believed(head[:tail] + other[tail:], stats(11, 2), credit(12)))
    assert "codes" not in found and "CODES" not in found, found
    assert found[-2:] == ["IMAGE_STATS", "CREDIT"]


def test_a_splice_with_the_codes_of_the_same_frame_sent_twice_is_its_own() -> None:
    assert kinds(believed(codes(7, 1), stats(8, 1))) == ["CODES", "IMAGE_STATS"]


def test_frames_that_left_a_piece_on_the_line_are_no_sign_of_a_splice() -> None:
    broken = b"\x55" * 30
    damaged = flip(codes(7, 1), 3)
    assert kinds(believed(damaged, broken, credit(9))) == ["dropped", "codes", "CREDIT"]
    assert kinds(believed(damaged, broken, broken, credit(10))) == ["dropped", "dropped", "codes", "CREDIT"]
    assert kinds(believed(damaged, broken, credit(10))) == ["dropped", "misplaced", "CREDIT"]
    useless = flip(stats(8, 1), 2)
    assert kinds(believed(damaged, useless, credit(9))) == ["image_stats", "codes", "CREDIT"]


def test_the_cost_of_another_image_right_after_damaged_codes_gives_them_away() -> None:
    assert kinds(believed(flip(codes(7, 1), 3), stats(8, 2))) == ["misplaced", "IMAGE_STATS"]


def test_late_frames_and_doubles_say_nothing() -> None:
    damaged = flip(codes(7, 1), 3)
    assert kinds(believed(damaged, credit(5), damaged, stats(8, 1)))[:1] == ["CREDIT"]
    assert kinds(believed(damaged, credit(5), stats(8, 1))) == ["CREDIT", "codes", "IMAGE_STATS"]


def test_damaged_codes_that_come_late_need_not_wait() -> None:
    assert kinds(believed(stats(8, 1), credit(9), flip(codes(7, 1), 3))) == ["IMAGE_STATS", "CREDIT", "codes"]


def test_damaged_codes_one_after_the_other_vouch_for_each_other_where_pieces_explain_the_gap() -> None:
    broken, first, second = b"\x55" * 30, flip(codes(7, 1), 3), flip(codes(10, 2), 3)
    found = kinds(believed(first, broken, broken, second, stats(11, 2)))
    assert found == ["dropped", "dropped", "codes", "codes", "IMAGE_STATS"]
    assert kinds(believed(first, second, stats(11, 2))) == ["misplaced", "codes", "IMAGE_STATS"]


def test_whole_codes_with_a_wrong_pilot_bit_are_no_codes_of_this_device() -> None:
    payload = bytearray(codes(7, 1)[16:-4])
    payload[0] ^= 1  # a pilot
    raw = build(CODES, bytes(payload), request=1, bundle=BUNDLE, sequence=7)
    assert kinds(believed(raw, stats(8, 1))) == ["misplaced", "IMAGE_STATS"]


def test_a_forged_header_is_found_by_pilots_or_by_the_frame_after() -> None:
    """Codes whose header was garbled so that its CRC-16 is right: they name another request or number."""
    rng, kept = random.Random(3), 0
    for _ in range(2000):
        number, request = rng.randrange(65536), rng.getrandbits(32)
        spliced = codes(number, request ^ 1 << rng.randrange(32))[:16] + codes(number, request)[16:]
        found = believed(spliced, b"\x55" * 30, credit(number + 2))
        kept += kinds(found) == ["dropped", "codes", "CREDIT"]
        assert kinds(believed(spliced, stats(number + 1, request)))[0] == "misplaced"
    allowed = sum(_choose(32, wrong) for wrong in range(errors_allowed(32) + 1)) / 2**32
    assert allowed == pytest.approx(0.0100, abs=0.0002)
    assert kept / 2000 == pytest.approx(allowed, abs=4 * (allowed / 2000) ** 0.5)


@pytest.mark.parametrize("bits", [16, 32, 64, 128])
def test_the_largest_usable_error_rate_raises_no_more_false_alarms_than_stated(bits: int) -> None:
    def alarm(allowed: int) -> float:
        return sum(
            _choose(bits, k) * BER_MAX**k * (1 - BER_MAX) ** (bits - k) for k in range(allowed + 1, bits + 1)
        )

    allowed = errors_allowed(bits)
    assert alarm(allowed) <= FALSE_ALARM < alarm(allowed - 1)


def test_codes_of_a_wrong_size_are_passed_on_whole_and_not_believed_damaged() -> None:
    whole = build(CODES, b"short", request=1, bundle=BUNDLE, sequence=7)
    assert kinds(believed(whole)) == ["CODES"]
    assert kinds(believed(flip(whole, 0), stats(8, 1))) == ["misplaced", "IMAGE_STATS"]


def test_foreign_frames_prove_nothing() -> None:
    foreign = build(CREDIT, bytes(6), bundle=BUNDLE ^ 1, sequence=50)
    assert kinds(believed(flip(codes(7, 1), 3), foreign, credit(9))) == ["CREDIT", "codes", "CREDIT"]


def test_hello_settles_what_waits() -> None:
    hello = Frame(FrameType.HELLO, b"", 9, BUNDLE, 5)
    for number, expected in ((8, ["codes"]), (7, ["misplaced"]), (3, ["misplaced"])):
        custody = Custody(BUNDLE, FORM)
        assert believed(flip(codes(number, 1), 3), custody=custody) == []
        assert custody.waiting
        assert kinds(custody.hello(hello)) == expected
        assert not custody.waiting
    custody = Custody(BUNDLE, FORM)
    believed(flip(codes(7, 1), 3), custody=custody)
    custody.take(Dropped(Drop.BAD_HEADER_CRC))
    assert kinds(custody.hello(hello)) == ["codes"]


def fragment(number: int, request: int, offset: int = 0, size: int = 50, *, last: bool = False) -> bytes:
    """A fragment of a payload of 200 bytes before COBS."""
    codes = digest_codes(request.to_bytes(4, "little"), 200)[offset : offset + size]
    return part(
        codes,
        sequence=number,
        request=request,
        bundle=BUNDLE,
        flags=LAST * last,
        offset=offset,
        bits=1600,
        values=(24, 7),
        pilots=PILOTS,
    )


def steered(*raws: bytes) -> list[str]:
    """What becomes of frames of the device with controls."""
    return kinds(believed(*raws, custody=Custody(BUNDLE, STEERED)))


def test_fragments_whose_codes_are_damaged_are_vouched_for_by_the_next_one() -> None:
    first, second, end = fragment(7, 1), fragment(8, 1, 50), fragment(9, 1, 100, 100, last=True)
    hurt = [flip(raw, PREFIX_BYTES + 3) for raw in (first, second, end)]
    assert steered(hurt[0], second, end, stats(10, 1)) == [
        "codes_part",
        "CODES_PART",
        "CODES_PART",
        "IMAGE_STATS",
    ]
    assert steered(*hurt, stats(10, 1)) == ["codes_part"] * 3 + ["IMAGE_STATS"]
    assert steered(hurt[0], credit(8), second)[:2] == ["codes_part", "CREDIT"], "rows still came in"


def test_a_damaged_prefix_is_never_believed() -> None:
    for place in range(PREFIX_BYTES):
        assert steered(flip(fragment(7, 1), place), credit(8)) == ["bad prefix", "CREDIT"]
    stolen = fragment(7, 1)[:16] + fragment(9, 2, 50)[16:]
    assert steered(stolen, credit(8)) == ["bad prefix", "CREDIT"]


def test_codes_without_the_prefix_that_hello_announced_are_not_believed() -> None:
    payload = with_pilots(bytes(200), BUNDLE, 7, 1, PILOTS)
    plain = build(CODES, payload, request=1, bundle=BUNDLE, sequence=7)
    assert steered(flip(plain, 9), credit(8)) == ["misplaced", "CREDIT"]
    assert steered(plain) == ["CODES"], "whole ones are passed on, and the core counts them as unexpected"


@pytest.mark.parametrize("tail", range(3, 16 + PREFIX_BYTES + 50 + PILOTS))
def test_a_splice_of_two_fragments_is_never_given_out(tail: int) -> None:
    """Of one image and of two; the tail is the next fragment's but two, so frames are missing."""
    for request, offset in ((1, 100), (2, 50)):
        head, other = fragment(7, 1), fragment(9, request, offset)
        found = steered(head[:tail] + other[tail:], fragment(10, request, offset + 50), credit(12))
        assert "codes_part" not in found and found.count("CODES_PART") == 1, found


@pytest.mark.parametrize(
    ("held", "later"),
    [
        (fragment(7, 1), stats(8, 1)),
        (fragment(7, 1), fragment(8, 1, 100)),
        (fragment(7, 1, 100, 100, last=True), fragment(8, 2)),
        (fragment(7, 1, 100, 100, last=True), stats(8, 2)),
    ],
    ids=["cost behind half an image", "a hole", "another image without cost", "another image's cost"],
)
def test_what_no_device_sends_next_gives_damaged_fragments_away(held: bytes, later: bytes) -> None:
    assert steered(flip(held, PREFIX_BYTES + 3), later)[0] == "misplaced"


@pytest.mark.parametrize(
    ("offset", "size", "last"), [(150, 51, True), (150, 40, True), (0, 0, False), (150, 50, False)]
)
def test_fragments_that_lie_where_none_can_are_not_believed_damaged(
    offset: int, size: int, last: bool
) -> None:
    raw = part(
        bytes(size),
        sequence=7,
        request=1,
        bundle=BUNDLE,
        flags=LAST * last,
        offset=offset,
        bits=1600,
        values=(1, 2),
        pilots=PILOTS,
    )
    assert steered(flip(raw, PREFIX_BYTES + 1), credit(8)) == ["misplaced", "CREDIT"]


def _choose(n: int, k: int) -> int:
    import math

    return math.comb(n, k)
