"""The link core by itself: what goes in, what comes out, when it wants to be called."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fakes.core_driver import core_with, exchange, run_core
from fakes.link_device import CODES, HELLO, LINK_STATS, FakeDevice, on_wire
from fakes.toy_session import images, right_codes
from semflash.errors import LinkError
from semflash.link.core import Connected, Failed, Finished, LinkCore, Lost, NoStatistics, State, Statistics
from semflash.link.errors import SilenceError


def rows(count: int, seed: int = 0) -> list[tuple[int, bytes]]:
    return [(index, image.tobytes()) for index, image in enumerate(images(count, seed))]


def events(core: LinkCore) -> list[object]:
    return list(iter(core.next_event, None))


def is_idle(core: LinkCore) -> bool:
    """At rest, with nothing to wait for, to send or to tell."""
    told = (core.timeout_at(), core.data_to_send(), core.next_event())
    return core.state is State.REST and told == (None, b"", None)


def talked(core: LinkCore, device: FakeDevice, turns: int = 20) -> list[object]:
    """What comes out in so many turns at most."""
    found = events(core)
    for _ in range(turns):
        if core.timeout_at() is None:
            break
        exchange(core, device)
        found += events(core)
    return found


def test_the_same_input_gives_the_same_output_to_the_byte() -> None:
    def output() -> tuple[bytes, list[object], float | None]:
        device, core, sent = FakeDevice(pilot_bytes=2), core_with(), bytearray()

        def hear(data: bytes) -> bytes:
            sent.extend(data)
            return data

        device.hear = hear
        outcomes, failure = run_core(core, device, rows(20))
        assert failure is None and len(outcomes) == 20
        return bytes(sent), list(outcomes), core.timeout_at()

    assert output() == output()


def test_nothing_happens_before_it_is_asked_and_nothing_is_waited_for_at_rest() -> None:
    core = core_with()
    assert is_idle(core)
    core.handle_timeout(1e6)
    core.receive_data(b"noise\0", 1e6)
    assert is_idle(core)
    assert core.counters.frames_dropped == 1 and core.counters.bytes_received == 6


def test_hello_is_asked_at_once_and_again_at_each_time_out_until_it_is_given_up() -> None:
    core, asked = core_with(timeout_s=2.0), []
    core.connect(10.0)
    now: float | None = 10.0
    while now is not None:
        asked += [now for data in iter(core.data_to_send, b"") if data]
        now = core.timeout_at()
        if now is not None:
            core.handle_timeout(now)
    times = sorted(set(asked))
    assert times[:3] == [10.0, 10.5, 11.5] and times[-1] < 16.0
    (failed,) = events(core)
    assert isinstance(failed, Failed) and isinstance(failed.error, SilenceError)
    assert core.state is State.REST


def test_a_call_before_the_time_out_changes_nothing_and_one_at_it_always_does() -> None:
    device, core = FakeDevice(), core_with(timeout_s=2.0)
    device.fault = lambda kind, raw: [on_wire(raw)] if kind == HELLO else []
    core.start(0.0)
    for pixels in rows(3):
        core.offer(*pixels, 0.0)
    for _ in range(200):
        due_s = core.timeout_at()
        if due_s is None:
            break
        core.handle_timeout(due_s - 1e-6)
        assert core.timeout_at() == due_s and not device.in_waiting
        core.handle_timeout(due_s)
        after_s = core.timeout_at()
        assert after_s is None or after_s > due_s
        device.now = due_s
        while data := core.data_to_send():
            device.write(data)
        core.receive_data(device.read(4096), due_s)
    assert core.state is State.REST
    assert isinstance(events(core)[-1], Failed), "a device that answers HELLO alone is given up"


def test_bytes_to_send_may_be_taken_in_any_parts() -> None:
    whole, parts = core_with(), core_with()
    for core in (whole, parts):
        core.start(0.0)
    first = b"".join(iter(whole.data_to_send, b""))
    pieces = list(iter(lambda: parts.data_to_send(3), b""))
    assert b"".join(pieces) == first and {len(piece) for piece in pieces[:-1]} == {3}
    assert parts.counters.frames_sent == whole.counters.frames_sent == 1
    assert parts.counters.bytes_sent == len(first)


@pytest.mark.parametrize("size", [1, 2, 7, 4096])
def test_received_bytes_may_come_in_any_parts(size: int) -> None:
    device, core, pictures = FakeDevice(pilot_bytes=1), core_with(), images(12)
    read = device.read
    device.read = lambda most=1: read(min(most, size))  # type: ignore[method-assign]
    outcomes, failure = run_core(core, device, rows(12))
    assert failure is None and right_codes(outcomes, pictures) == set(range(12))
    assert core.counters.resyncs == 0 == core.counters.frames_lost


def test_images_are_wanted_as_far_as_the_device_has_room_and_others_wait() -> None:
    device, core, pictures = FakeDevice(window=2, rows_per_frame=4), core_with(), images(9)
    core.start(0.0)
    assert not core.wants_images, "nothing is known of the device yet"
    found = talked(core, device, 1)
    assert [type(event) for event in found] == [Connected] and core.state is State.STREAMING
    taken = 0
    while core.wants_images:
        core.offer(taken, pictures[taken].tobytes(), device.now)
        taken += 1
    assert taken == 2 == core.unanswered
    for index in range(taken, 9):
        core.offer(index, pictures[index].tobytes(), device.now)
    assert core.pending == 9 and core.unanswered == 2
    core.finish()
    found = talked(core, device, 100)
    assert isinstance(found[-1], Finished) and right_codes(found[:-1], pictures) == set(range(9))  # type: ignore[arg-type]
    assert core.pending == 0 and core.state is State.REST


def test_a_core_without_images_waits_for_ever_and_goes_on_when_one_comes() -> None:
    device, core, pictures = FakeDevice(), core_with(timeout_s=1.0), images(2)
    core.start(0.0)
    found = talked(core, device)
    assert core.timeout_at() is None and core.wants_images
    device.now = 86_400.0
    core.handle_timeout(device.now)
    core.offer(0, pictures[0].tobytes(), device.now)
    core.finish()
    found += talked(core, device)
    assert core.counters.resyncs == 0, "an idle device owes no answer"
    assert right_codes(found[1:-1], pictures) == {0}  # type: ignore[arg-type]


def test_statistics_may_be_asked_between_images() -> None:
    device, core, pictures = FakeDevice(), core_with(), images(6)
    core.start(0.0)
    talked(core, device, 2)
    for index, image in enumerate(pictures):
        core.offer(index, image.tobytes(), device.now)
    core.ask_link_stats(device.now)
    core.finish()
    found = talked(core, device, 100)
    (told,) = [event for event in found if isinstance(event, Statistics)]
    assert told.stats.ok == 1 and isinstance(found[-1], Finished)
    assert right_codes((event for event in found if event is not told), pictures) == set(range(6))  # type: ignore[arg-type]


def test_statistics_that_do_not_come_do_not_end_the_images() -> None:
    device, core, pictures = FakeDevice(), core_with(), images(6)
    device.fault = lambda kind, raw: [] if kind == LINK_STATS else [on_wire(raw)]
    core.ask_link_stats(0.0)
    outcomes, failure = run_core(core, device, rows(6))
    assert failure is None and right_codes(outcomes, pictures) == set(range(6))
    found = talked(core, device, 100)
    assert [type(event) for event in found] == [NoStatistics]
    assert isinstance(found[0], NoStatistics) and isinstance(found[0].error, LinkError)


def test_after_a_stop_answers_are_still_taken_and_the_next_start_sends_the_rest_again() -> None:
    device, core, pictures = FakeDevice(), core_with(), images(5)
    codes = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal codes
        codes += kind == CODES
        return [] if kind == CODES and codes == 2 else [on_wire(raw)]

    device.fault = fault
    core.start(0.0)
    talked(core, device, 2)
    for index, image in enumerate(pictures):
        core.offer(index, image.tobytes(), device.now)
    while data := core.data_to_send():
        device.write(data)
    core.stop()
    assert core.state is State.REST and core.timeout_at() is None
    core.receive_data(device.read(4096), device.now)
    first = events(core)
    assert 0 < len(first) < 5
    core.start(device.now)
    core.finish()
    found = first + talked(core, device, 200)
    assert isinstance(found[-1], Finished)
    received = [event for event in found if not isinstance(event, Connected | Finished)]
    assert right_codes(received, pictures) == set(range(5))  # type: ignore[arg-type]


def test_a_line_that_breaks_costs_no_image_and_what_was_not_written_is_forgotten() -> None:
    device, core, pictures = FakeDevice(), core_with(), images(6)
    core.start(0.0)
    talked(core, device, 2)
    for index, image in enumerate(pictures):
        core.offer(index, image.tobytes(), device.now)
    assert core.data_to_send(5)
    core.disconnected()
    assert core.data_to_send() == b"" and core.pending == 6 and core.state is State.REST
    core.start(device.now)
    core.finish()
    found = talked(core, device, 200)
    assert isinstance(found[0], Connected) and isinstance(found[-1], Finished)
    assert right_codes(found[1:-1], pictures) == set(range(6))  # type: ignore[arg-type]
    assert core.counters.images_resent == core.unanswered + 1


def test_images_that_are_given_up_are_lost_each_once() -> None:
    core = core_with()
    for index in (7, 3, 9):
        core.offer(index, bytes(24), 0.0)
    core.give_up()
    assert events(core) == [Lost(7, 1), Lost(3, 1), Lost(9, 1)]
    assert core.pending == 0 and core.counters.images_lost == 3


def test_time_that_the_shell_takes_for_itself_is_not_the_devices() -> None:
    for own_s, resyncs in ((30.0, 0), (0.0, 1)):
        device, core = FakeDevice(), core_with(timeout_s=1.0)
        core.start(0.0)
        talked(core, device, 2)
        core.offer(0, bytes(24), device.now)
        core.paused(own_s)
        core.handle_timeout(device.now + 30.0)
        assert core.counters.resyncs == resyncs


def test_questions_last_longer_by_the_time_that_the_shell_takes() -> None:
    core = core_with(timeout_s=1.0)
    core.connect(0.0)
    core.ask_link_stats(0.0)
    core.paused(100.0)
    core.handle_timeout(100.2)
    assert core.state is State.ASKING and not events(core)
    core.handle_timeout(103.1)
    assert [type(event) for event in events(core)] == [Failed, NoStatistics]


def test_a_clock_that_goes_back_stands_still() -> None:
    core = core_with(timeout_s=1.0)
    core.connect(50.0)
    due_s = core.timeout_at()
    core.handle_timeout(3.0)
    assert core.timeout_at() == due_s
    assert due_s is not None
    core.handle_timeout(due_s)
    assert core.timeout_at() != due_s


def test_misuse_by_a_shell_is_told_at_once() -> None:
    core = core_with()
    core.start(0.0)
    for again in (core.start, core.connect):
        with pytest.raises(RuntimeError, match="the core is asking: stop it"):
            again(0.0)
    with pytest.raises(ValueError, match="has 24 bytes, not 23"):
        core.offer(0, bytes(23), 0.0)


def test_every_frame_that_is_believed_passes_the_tap_in_order() -> None:
    numbers: list[int] = []
    device, core = FakeDevice(), core_with(tap=lambda frame: numbers.append(frame.sequence))
    run_core(core, device, rows(10))
    assert numbers[0] == 0 and all(after == before + 1 for before, after in pairwise(numbers))
    assert len(numbers) == core.counters.frames_ok + 1
