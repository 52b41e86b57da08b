"""Sessions with a device that drops, damages, repeats, delays, lies, falls silent or goes away."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes.link_device import (
    CODES,
    CREDIT,
    HELLO,
    IMAGE_STATS,
    REFUSED,
    ROWS,
    FakeDevice,
    digest_codes,
    on_wire,
    split,
)
from semflash.bridge.errors import GarbageError, PortVanishedError, SilenceError, StalledError
from semflash.bridge.session import Expected, Lost, Outcome, Received, Session
from semflash.errors import DatasetError, LinkError, WrongFirmwareError

EXPECTED = Expected("toy", 0xA1B2C3D4, 4, 6, 8)


def images(count: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, (count, 4, 6, 1)).astype(np.int8)


def session_with(device: FakeDevice, **options: object) -> Session:
    return Session(device, EXPECTED, clock=device.clock, **options)  # type: ignore[arg-type]


def run(device: FakeDevice, pictures: NDArray[np.int8], **options: object) -> tuple[list[Outcome], Session]:
    session = session_with(device, **options)
    return list(session.stream(enumerate(pictures))), session


def right_codes(outcomes: Iterable[Outcome], pictures: NDArray[np.int8]) -> set[int]:
    """Indices received; every undamaged payload must be that of its own image."""
    seen = set()
    for outcome in outcomes:
        if isinstance(outcome, Received):
            assert outcome.index not in seen, "an image was answered twice"
            seen.add(outcome.index)
            if not outcome.damaged:
                assert outcome.payload == digest_codes(pictures[outcome.index].tobytes(), 8)
    return seen


def once(kind: int, number: int, pieces: list[bytes] | None = None):  # type: ignore[no-untyped-def]
    """A fault that replaces the number-th frame of a type (from 1) by other wire pieces."""
    seen = 0

    def fault(found: int, raw: bytes) -> list[bytes]:
        nonlocal seen
        seen += found == kind
        if found == kind and seen == number:
            return pieces if pieces is not None else []
        return [on_wire(raw)]

    return fault


def test_every_image_gets_its_codes_in_order_with_its_cost() -> None:
    device, pictures = FakeDevice(), images(20)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(20))
    assert [outcome.index for outcome in outcomes] == list(range(20))
    first = outcomes[0]
    assert isinstance(first, Received)
    assert (first.ticks, first.stack_bytes, first.attempt) == (1000, 512, 1)
    assert session.hello is not None
    assert session.hello.count(1000) == 3000
    counters = session.counters
    assert (counters.frames_lost, counters.frames_dropped, counters.stale_answers, counters.resyncs) == (
        0,
        0,
        0,
        0,
    )


def test_hello_is_read_field_by_field() -> None:
    hello = session_with(FakeDevice()).connect()
    assert (hello.board, hello.engine, hello.build_id, hello.counter) == (
        "fake-board",
        "aot/fake",
        0xB01D,
        "instructions",
    )
    assert (hello.window, hello.rows_payload, hello.rows_per_frame, hello.reset_cause) == (
        2,
        16,
        2,
        "power-on",
    )


def test_never_more_rows_frames_than_the_window_are_without_credit() -> None:
    device = FakeDevice(window=3, rows_per_frame=1)
    sent = credited = worst = 0

    def hear(data: bytes) -> bytes:
        nonlocal sent, worst
        from cobs import cobs

        sent += cobs.decode(data.strip(b"\0"))[1] == ROWS
        worst = max(worst, sent - credited)
        return data

    def fault(kind: int, raw: bytes) -> list[bytes]:
        late.append(on_wire(raw))
        return []

    late: list[bytes] = []
    read = device.read

    def slow_read(size: int = 1) -> bytes:
        nonlocal credited
        if not device.in_waiting and late:
            piece = late.pop(0)
            from cobs import cobs

            credited += cobs.decode(piece[:-1])[1] == CREDIT
            device.say(piece)
        return read(size)

    device.hear, device.fault, device.read = hear, fault, slow_read  # type: ignore[method-assign]
    outcomes, _ = run(device, images(6))
    assert len(outcomes) == 6
    assert worst == 3


def test_no_more_is_under_way_than_a_pseudo_terminal_holds() -> None:
    device = FakeDevice(window=500, rows=64, row_bytes=32, rows_per_frame=32)
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    written = 0

    def hear(data: bytes) -> bytes:
        nonlocal written
        written += len(data)
        return data

    expected = Expected("toy", 0xA1B2C3D4, 64, 32, 8)
    session = Session(device, expected, clock=device.clock)
    session.connect()
    device.hear = hear
    session._flight.load((i, bytes(64 * 32)) for i in range(100))
    session._pump()
    assert 1000 < written < 4096


def test_request_numbers_are_never_used_twice_and_never_zero() -> None:
    numbers: list[int] = []
    device = FakeDevice(rows_per_frame=4)

    def hear(data: bytes) -> bytes:
        from cobs import cobs

        raw = cobs.decode(data.strip(b"\0"))
        if raw[1] == ROWS:
            numbers.append(split(raw)[1])
        return data

    device.hear = hear
    run(device, images(5), first_request=0xFFFF_FFFD)
    assert numbers == [0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF, 1, 2]


def test_sessions_begin_at_different_request_numbers() -> None:
    starts = set()
    for _ in range(5):
        outcomes, _ = run(FakeDevice(), images(1))
        starts.add(outcomes[0].request)  # type: ignore[union-attr]
    assert len(starts) == 5


def test_damaged_codes_are_delivered_and_flagged() -> None:
    device, pictures = FakeDevice(), images(6)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        if kind == CODES:
            raw = raw[:18] + bytes([raw[18] ^ 4]) + raw[19:]
        return [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert all(isinstance(o, Received) and o.damaged for o in outcomes)
    clean = digest_codes(pictures[0].tobytes(), 8)
    assert outcomes[0].payload == clean[:2] + bytes([clean[2] ^ 4]) + clean[3:]  # type: ignore[union-attr]
    assert session.counters.frames_damaged == 6


@pytest.mark.parametrize("kind", [CODES, CREDIT, IMAGE_STATS])
@pytest.mark.parametrize("number", [1, 2, 5, 10])
def test_a_lost_frame_of_any_type_costs_no_image(kind: int, number: int) -> None:
    device, pictures = FakeDevice(), images(10)
    device.fault = once(kind, number)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(10))
    # A loss at the very end shows no gap: nothing comes after it.
    assert session.counters.frames_lost in (0, 1)


def test_a_frame_torn_on_the_line_is_counted_and_its_image_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    device.fault = once(CODES, 3, [b"\x11\x22\x33\x00"])
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.frames_dropped == 1
    assert session.counters.frames_lost == 1
    assert session.counters.images_resent == 1


def test_rows_lost_on_the_way_are_refused_and_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    heard = 0

    def hear(data: bytes) -> bytes:
        nonlocal heard
        heard += 1
        return b"" if heard == 4 else data

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.images_resent >= 1


def test_damaged_rows_are_refused_and_sent_again() -> None:
    device, pictures = FakeDevice(), images(8)
    heard = 0

    def hear(data: bytes) -> bytes:
        nonlocal heard
        heard += 1
        if heard != 5:
            return data
        from cobs import cobs

        raw = bytearray(cobs.decode(data.strip(b"\0")))
        raw[24] ^= 1
        return on_wire(bytes(raw))

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(8))
    assert session.counters.refused == {1: 1}


def test_an_image_that_is_always_refused_is_lost_and_the_others_are_not() -> None:
    device, pictures = FakeDevice(rows_per_frame=4), images(6)
    bad = pictures[2].tobytes()

    def hear(data: bytes) -> bytes:
        from cobs import cobs

        raw = cobs.decode(data.strip(b"\0"))
        if raw[1] == ROWS and bad in raw:
            raw = raw[:-1] + bytes([raw[-1] ^ 1])
        return on_wire(raw)

    device.hear = hear
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == {0, 1, 3, 4, 5}
    assert [o for o in outcomes if isinstance(o, Lost)] == [Lost(2, 3)]
    assert session.counters.images_lost == 1


def test_answers_sent_twice_are_counted_and_dropped() -> None:
    device, pictures = FakeDevice(), images(6)
    device.fault = lambda kind, raw: [on_wire(raw)] * (2 if kind == CODES else 1)
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(6))
    assert session.counters.stale_answers == 6
    assert session.counters.reordered == 6


def test_an_answer_that_comes_after_its_image_was_sent_again_is_dropped() -> None:
    device, pictures = FakeDevice(), images(6)
    kept: list[bytes] = []
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if kind == CODES and codes == 2:
            kept.append(on_wire(raw))
            return []
        late = [kept.pop()] if kept and codes == 5 else []
        return [*late, on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(6))
    assert session.counters.stale_answers >= 1


def test_codes_for_a_request_nobody_made_are_dropped() -> None:
    device, pictures = FakeDevice(), images(4)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        strange = build(CODES, b"strange!", request=12345, bundle=device.bundle)
        return [on_wire(raw), on_wire(strange)] if kind == CREDIT else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures, first_request=700)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.stale_answers == 8


def test_codes_before_the_last_row_was_sent_are_no_answer() -> None:
    device, pictures = FakeDevice(window=1, rows_per_frame=1), images(3)
    first = 900

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        early = build(CODES, b"too soon", request=first, bundle=device.bundle)
        return [on_wire(raw), on_wire(early)] if kind == CREDIT else [on_wire(raw)]

    device.fault = fault
    outcomes, _ = run(device, pictures, first_request=first)
    assert right_codes(outcomes[1:], pictures) >= {1, 2}


def test_codes_of_the_wrong_size_and_of_another_bundle_are_dropped() -> None:
    device, pictures = FakeDevice(), images(20)
    device.encode = lambda image: b"short"
    with pytest.raises(StalledError):
        run(device, pictures)
    device = FakeDevice()
    device.fault = lambda kind, raw: [
        on_wire(raw) if kind == HELLO else on_wire(_with_bundle(raw, 0x0BAD0BAD))
    ]
    session = session_with(device, timeout_s=1.0)
    with pytest.raises(StalledError):
        list(session.stream(enumerate(pictures)))
    assert session.counters.foreign > 0


def _with_bundle(raw: bytes, bundle: int) -> bytes:
    from fakes.link_device import build

    kind, request, payload = split(raw)
    return build(kind, payload, request=request, bundle=bundle, sequence=struct.unpack_from("<H", raw, 2)[0])


def test_an_impossible_credit_does_not_open_the_window() -> None:
    device, pictures = FakeDevice(), images(5)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        forged = build(CREDIT, struct.pack("<I", 4_000_000_000), bundle=device.bundle)
        return [on_wire(raw), on_wire(forged)] if kind == CODES else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(5))
    assert session.counters.unexpected == 5


def test_a_device_that_reboots_in_mid_stream_is_picked_up_again() -> None:
    device, pictures = FakeDevice(), images(12)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if kind == CODES and codes == 5:
            device.reboot()
            return []
        return [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(12))
    assert session.counters.resyncs >= 1


def test_a_silent_device_is_an_error_of_its_own_within_bounded_time() -> None:
    device = FakeDevice(fault=lambda kind, raw: [])
    with pytest.raises(SilenceError, match="silent") as caught:
        session_with(device, timeout_s=2.0).connect()
    assert caught.value.exit_code == 3
    assert device.now == pytest.approx(6.0, abs=0.5)


def test_garbage_instead_of_frames_is_an_error_of_its_own() -> None:
    device = FakeDevice(fault=lambda kind, raw: [b"U-Boot 2019.04 \0 booting \0"])
    with pytest.raises(GarbageError, match="no frames of ours"):
        session_with(device, timeout_s=0.5).connect()


def test_endless_garbage_without_a_delimiter_does_not_hold_the_host_for_ever() -> None:
    device = FakeDevice()
    read = device.read

    def noise(size: int = 1) -> bytes:
        device.now += 0.01
        return b"\xaa" * 512

    with pytest.raises(GarbageError):
        device.read = noise  # type: ignore[method-assign]
        session_with(device, timeout_s=0.5).connect()
    device.read = read  # type: ignore[method-assign]
    session = session_with(device, timeout_s=0.5)
    session.connect()
    device.read = noise  # type: ignore[method-assign]
    with pytest.raises(GarbageError):
        list(session.stream(enumerate(images(3))))


def test_a_port_that_echoes_is_told_apart() -> None:
    device = FakeDevice()
    device.hear = lambda data: (device.say(data), b"")[1]
    with pytest.raises(GarbageError, match="echoes"):
        session_with(device, timeout_s=0.5).connect()


def test_a_wrong_bundle_names_both_hashes_and_the_remedy() -> None:
    with pytest.raises(WrongFirmwareError) as caught:
        session_with(FakeDevice(bundle=0x0BAD0BAD)).connect()
    text = str(caught.value)
    assert "0bad0bad" in text
    assert "a1b2c3d4" in text
    assert "semflash flash toy" in text


def test_another_protocol_version_is_told_from_garbage() -> None:
    with pytest.raises(WrongFirmwareError, match="protocol version 2"):
        session_with(FakeDevice(protocol=2), timeout_s=0.5).connect()


def test_a_device_of_other_sizes_is_refused() -> None:
    with pytest.raises(LinkError, match="not those of the bundle"):
        session_with(FakeDevice(payload_bytes=9)).connect()


@pytest.mark.parametrize("options", [{"window": 0}, {"rows_per_frame": 0}, {"row_bytes": 0}])
def test_a_hello_that_makes_no_sense_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(LinkError, match="makes no sense"):
        session_with(FakeDevice(**options)).connect()  # type: ignore[arg-type]


def test_a_bundle_exchanged_in_mid_stream_is_noticed() -> None:
    device, pictures = FakeDevice(), images(10)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        if codes == 3:
            device.bundle = 0x0BAD0BAD
        return [on_wire(raw)]

    device.fault = fault
    session = session_with(device)
    received = []
    with pytest.raises(WrongFirmwareError):
        for outcome in session.stream(enumerate(pictures)):
            received.append(outcome)
    assert right_codes(received, pictures) >= {0, 1}


def test_what_came_before_the_port_vanished_is_handed_out() -> None:
    device, pictures = FakeDevice(), images(50)
    device.vanished = PortVanishedError("the port vanished")
    session = session_with(device)
    session.connect()
    device.vanish_after = 12
    received: list[Outcome] = []
    with pytest.raises(PortVanishedError):
        for outcome in session.stream(enumerate(pictures)):
            received.append(outcome)
    assert len(right_codes(received, pictures)) >= 3
    assert session.unanswered >= 1


def test_silence_in_mid_stream_is_an_error_after_what_came() -> None:
    device, pictures = FakeDevice(), images(30)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        return [on_wire(raw)] if codes < 8 else []

    device.fault = fault
    received: list[Outcome] = []
    with pytest.raises(SilenceError):
        for outcome in session_with(device, timeout_s=1.0).stream(enumerate(pictures)):
            received.append(outcome)
    assert right_codes(received, pictures) == set(range(7))


def test_a_device_that_only_says_hello_is_given_up() -> None:
    device = FakeDevice()
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    with pytest.raises(StalledError, match="answers HELLO"):
        run(device, images(100), timeout_s=1.0)
    assert device.now < 10


def test_a_slow_caller_is_not_taken_for_a_silent_device() -> None:
    device, pictures = FakeDevice(), images(6)
    session = session_with(device, timeout_s=1.0)
    for _ in session.stream(enumerate(pictures)):
        device.now += 30.0
    assert session.counters.resyncs == 0


def test_leftovers_of_an_earlier_session_are_not_taken_for_answers() -> None:
    device, pictures = FakeDevice(), images(4)
    earlier = session_with(device)
    stream = earlier.stream(enumerate(images(40, seed=9)))
    next(stream)
    stream.close()  # answers of the earlier host wait on the line
    outcomes, session = run(device, pictures)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.resyncs == 0


def test_an_image_of_the_wrong_size_or_type_is_refused_before_it_is_sent() -> None:
    for wrong in (np.zeros((5, 6, 1), np.int8), np.zeros((4, 6, 1), np.uint8)):
        with pytest.raises(DatasetError, match="int8 with 24 values"):
            list(session_with(FakeDevice()).stream([(0, wrong)]))


def test_link_statistics_are_asked_and_read() -> None:
    session = session_with(FakeDevice())
    session.connect()
    stats = session.link_stats()
    assert (stats.ok, stats.foreign_bundle, stats.overruns) == (1, 7, 8)


class Chaos:
    """Random faults on every frame of the device, from a seed."""

    def __init__(self, seed: int, rates: dict[str, float], device: FakeDevice) -> None:
        self.random, self.rates, self.device = random.Random(seed), rates, device
        self.late: list[bytes] = []

    def __call__(self, kind: int, raw: bytes) -> list[bytes]:
        wire, pieces = on_wire(raw), []
        if self.late and self.random.random() < 0.3:
            pieces.append(self.late.pop(self.random.randrange(len(self.late))))
        roll = {name: self.random.random() < rate for name, rate in self.rates.items()}
        if roll["drop"]:
            return pieces
        if roll["late"]:
            self.late.append(wire)
            return pieces
        if roll["cut"]:
            wire = wire[: self.random.randrange(len(wire))]  # runs into the next frame
        if roll["noise"]:
            pieces.append(self.random.randbytes(self.random.randrange(1, 40)))
        return [*pieces, wire, wire] if roll["twice"] else [*pieces, wire]

    def hear(self, data: bytes) -> bytes:
        return b"" if self.random.random() < self.rates["deaf"] else data


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {
            name: st.sampled_from([0.0, 0.02, 0.2])
            for name in ("drop", "late", "cut", "noise", "twice", "deaf")
        }
    ),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_no_image_ever_gets_another_images_answer(
    seed: int, rates: dict[str, float], window: int, rows_per_frame: int
) -> None:
    device, pictures = FakeDevice(window=window, rows_per_frame=rows_per_frame), images(15, seed % 1000)
    chaos = Chaos(seed, rates, device)
    device.fault, device.hear = chaos, chaos.hear
    session = session_with(device, timeout_s=0.5)
    outcomes: list[Outcome] = []
    failed = False
    try:
        for outcome in session.stream(enumerate(pictures)):
            outcomes.append(outcome)
    except LinkError:
        failed = True
    received = right_codes(outcomes, pictures)
    lost = [outcome.index for outcome in outcomes if isinstance(outcome, Lost)]
    assert len(lost) == len(set(lost))
    assert not received & set(lost)
    if not failed:
        assert received | set(lost) == set(range(15))
    if not any(rates.values()):
        assert received == set(range(15))


def test_refused_for_an_unknown_image_changes_nothing() -> None:
    device, pictures = FakeDevice(), images(4)

    def fault(kind: int, raw: bytes) -> list[bytes]:
        from fakes.link_device import build

        refusal = build(REFUSED, b"\2", request=4321, bundle=device.bundle)
        return [on_wire(raw), on_wire(refusal)] if kind == CODES else [on_wire(raw)]

    device.fault = fault
    outcomes, session = run(device, pictures, first_request=10)
    assert right_codes(outcomes, pictures) == set(range(4))
    assert session.counters.refused == {}
    assert session.counters.images_resent == 0


def test_sequence_numbers_that_wrap_show_no_gap() -> None:
    device = FakeDevice()
    device._sequence = 0xFFF0
    _, session = run(device, images(10))
    assert (session.counters.frames_lost, session.counters.reordered) == (0, 0)


def test_indices_of_the_caller_come_back_as_they_are() -> None:
    device, pictures = FakeDevice(), images(5)
    numbers = [40, 7, 9, 1000, 3]
    outcomes = list(session_with(device).stream(zip(numbers, pictures, strict=True)))
    assert [outcome.index for outcome in outcomes] == numbers
    assert all(a.request != b.request for a, b in pairwise(outcomes))  # type: ignore[union-attr]
