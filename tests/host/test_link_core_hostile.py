"""Any bytes in any pieces at any time, between calls in any order: the core raises nothing, and every image
has one outcome at the end."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from cobs import cobs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.core_driver import core_with, exchange
from fakes.link_device import ROWS, FakeDevice, build, digest_codes, on_wire, split
from fakes.toy_session import EXPECTED
from semflash.errors import LinkError
from semflash.link.core import (
    Failed,
    Finished,
    Lost,
    NoPicture,
    NoStatistics,
    Pictured,
    Received,
    State,
)

#: Types of frames, those of the device first, and the sizes of their whole payloads.
SIZES = {
    0x81: 96,
    0x82: 8,
    0x83: 12,
    0x84: 6,
    0x85: 1,
    0x86: 48,
    0x87: 14,
    0x01: 0,
    0x02: 28,
    0x03: 0,
    0x05: 0,
    0x88: 5,
    0x89: 10,
    0xFF: 0,
}
SESSION, FIRST = 0x5E55_1001, 4_000_000_001
#: Turns after which a core at a good line must have come to its end.
TURNS_MAX = 3000


def picture(index: int) -> bytes:
    """An image that no other one is like."""
    return index.to_bytes(4, "little") * 6


class HostileLine(RuleBasedStateMachine):
    """A core between a device, a line that does what it likes, and a shell that does, too."""

    def __init__(self) -> None:
        super().__init__()
        self.device = FakeDevice(window=2, rows_per_frame=2, source=lambda: picture(77))
        self.core = core_with(session=SESSION, first_request=FIRST, max_attempts=2)
        self.now = 0.0
        self.offered = 0
        self.forged = False
        self.pictures = 0
        self.last_request = FIRST
        self.outcomes: list[Received | Lost] = []

    def drain(self) -> Iterator[type]:
        """Kinds of the events that came, outcomes left out."""
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Received | Lost):
                self.outcomes.append(event)
                continue
            if isinstance(event, Pictured) and not self.forged:
                assert event.pixels == picture(77)
            if isinstance(event, Failed | NoStatistics | NoPicture):
                assert isinstance(event.error, LinkError) and str(event.error)
            yield type(event)

    def write(self) -> None:
        while data := self.core.data_to_send():
            self.hear(data)

    def hear(self, data: bytes) -> None:
        """The device hears the host, and who forges frames does, too."""
        with contextlib.suppress(cobs.DecodeError):
            raw = cobs.decode(data.strip(b"\0"))
            if len(raw) >= 20 and raw[1] == ROWS:
                self.last_request = split(raw)[1]
        self.device.write(data)

    @initialize(images=st.integers(0, 5), turns=st.integers(0, 3))
    def it_begins_on_a_good_line(self, images: int, turns: int) -> None:
        self.core.start(self.now)
        self.images_are_offered(images)
        self.a_good_turn(turns)

    # The line.

    @rule(turns=st.integers(1, 3))
    def a_good_turn(self, turns: int) -> None:
        self.device.now = self.now
        for _ in range(turns):
            self.write()
            self.core.receive_data(self.device.read(4096) if self.device.in_waiting else b"", self.now)

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.core.handle_timeout(self.now)

    @rule()
    def the_time_out_comes(self) -> None:
        self.now = max(self.now, self.core.timeout_at() or 0.0)
        self.core.handle_timeout(self.now)

    @rule(seconds=st.floats(0, 100))
    def the_clock_goes_back(self, seconds: float) -> None:
        self.core.handle_timeout(self.now - seconds)

    @rule(data=st.binary(max_size=60), end=st.booleans())
    def noise_comes(self, data: bytes, end: bool) -> None:
        self.core.receive_data(data + b"\0" * end, self.now)

    @rule(
        kind=st.sampled_from(sorted(SIZES)),
        more=st.sampled_from([0, 0, 0, 0, -1, 1, -100]),
        fill=st.integers(0, 255),
        back=st.sampled_from([None, 0, 0, 1, 2, SESSION]),
        ahead=st.integers(0, 4),
        far=st.sampled_from([0, 0, 0, 2000, 40_000]),
        flip=st.booleans(),
    )
    def a_forged_frame_comes(
        self, kind: int, more: int, fill: int, back: int | None, ahead: int, far: int, flip: bool
    ) -> None:
        """Whole but for the CRC-32, and about an image under way, the session or nothing."""
        self.forged = True
        payload = bytes([fill]) * max(SIZES[kind] + more, 0)
        if kind == 0x84 and len(payload) == 6:
            payload = bytes([fill % 16, 0, 0, 0, fill // 16, 0])  # credit for one of the first frames
        request = 0 if back is None else SESSION if back == SESSION else self.last_request - back
        number = (self.core.frame_due or 0) + ahead + far
        raw = build(kind, payload, request=request, bundle=EXPECTED.hash32, sequence=number & 0xFFFF)
        self.core.receive_data(on_wire(raw[:-1] + bytes([raw[-1] ^ flip])), self.now)

    @rule(pieces=st.lists(st.integers(1, 200), min_size=1, max_size=6))
    def the_device_answers(self, pieces: list[int]) -> None:
        self.device.now = self.now
        self.write()
        for size in pieces:
            self.core.receive_data(self.device.read(size) if self.device.in_waiting else b"", self.now)

    @rule(size=st.integers(1, 60))
    def bytes_of_the_device_are_lost(self, size: int) -> None:
        if self.device.in_waiting:
            self.device.read(size)

    @rule(size=st.integers(1, 60))
    def bytes_of_the_host_are_lost(self, size: int) -> None:
        if lost := self.core.data_to_send(size):
            self.hear(lost[: len(lost) // 2])

    @rule()
    def the_device_is_reset(self) -> None:
        self.device.reboot()

    # The shell.

    @rule(count=st.integers(1, 3))
    def images_are_offered(self, count: int) -> None:
        for _ in range(count):
            self.core.offer(self.offered, picture(self.offered), self.now)
            self.offered += 1

    @precondition(lambda self: self.core.state is State.REST)
    @rule()
    def images_are_to_go_out(self) -> None:
        self.core.start(self.now)

    @precondition(lambda self: self.core.state is State.REST)
    @rule()
    def hello_is_asked(self) -> None:
        self.core.connect(self.now)

    @rule()
    def statistics_are_asked(self) -> None:
        self.core.ask_link_stats(self.now)

    @rule()
    def a_picture_is_asked(self) -> None:
        self.pictures += 1
        self.core.ask_picture(self.pictures, self.now)

    @rule(what=st.sampled_from(["stop", "disconnected", "finish"]))
    def the_shell_ends_something(self, what: str) -> None:
        {"stop": self.core.stop, "disconnected": self.core.disconnected, "finish": self.core.finish}[what]()

    @rule(seconds=st.floats(0, 50))
    def the_shell_takes_its_time(self, seconds: float) -> None:
        self.core.paused(seconds)
        self.now += seconds

    @invariant()
    def the_account_is_right(self) -> None:
        for _ in self.drain():
            pass
        assert self.offered == len(self.outcomes) + self.core.pending
        due_s = self.core.timeout_at()
        assert (due_s is not None) or self.core.state is not State.ASKING

    def teardown(self) -> None:
        """The line is good from now on: the core comes to an end, and every image has one outcome."""
        self.core.stop()
        self.core.start(self.now)
        self.core.finish()
        self.device.now = self.now
        for _ in range(TURNS_MAX):
            if {Finished, Failed} & set(self.drain()):
                break
            exchange(self.core, self.device)
        else:
            raise AssertionError(f"no end in {TURNS_MAX} turns")
        self.core.give_up()
        assert not set(self.drain()) & {Finished, Failed}
        indices = [outcome.index for outcome in self.outcomes]
        assert sorted(indices) == list(range(self.offered)), "an image has no outcome, or two"
        for outcome in self.outcomes:
            if isinstance(outcome, Received) and not outcome.damaged and not self.forged:
                assert outcome.payload == digest_codes(picture(outcome.index), EXPECTED.payload_bytes)


def random_step(line: HostileLine, rng: random.Random) -> None:
    """One step, drawn without hypothesis: a hundred times as many in the same time."""
    rest = line.core.state is State.REST
    steps: list[tuple[int, Callable[[], None]]] = [
        (12, lambda: line.a_good_turn(rng.randint(1, 3))),
        (6, lambda: line.images_are_offered(rng.randint(1, 3))),
        (6 if rest else 0, line.images_are_to_go_out),
        (1 if rest else 0, line.hello_is_asked),
        (3, lambda: line.time_passes(rng.choice([0.0, 0.01, 0.3, 0.6, 4.0]))),
        (3, line.the_time_out_comes),
        (1, lambda: line.the_clock_goes_back(rng.random())),
        (2, lambda: line.noise_comes(rng.randbytes(rng.randrange(40)), rng.random() < 0.5)),
        (6, lambda: forge(line, rng)),
        (6, lambda: line.the_device_answers([rng.randint(1, 90) for _ in range(rng.randint(1, 6))])),
        (2, lambda: line.bytes_of_the_device_are_lost(rng.randint(1, 60))),
        (2, lambda: line.bytes_of_the_host_are_lost(rng.randint(1, 60))),
        (1, line.the_device_is_reset),
        (1, line.statistics_are_asked),
        (2, line.a_picture_is_asked),
        (1, lambda: line.the_shell_ends_something(rng.choice(["stop", "disconnected", "finish"]))),
        (1, lambda: line.the_shell_takes_its_time(rng.random())),
    ]
    (step,) = rng.choices([step for _, step in steps], [weight for weight, _ in steps])
    step()
    line.the_account_is_right()


def forge(line: HostileLine, rng: random.Random) -> None:
    line.a_forged_frame_comes(
        rng.choice(sorted(SIZES)),
        rng.choice([0, 0, 0, 0, -1, 1, -100]),
        rng.randrange(256),
        rng.choice([None, 0, 0, 1, 2, SESSION]),
        rng.randrange(5),
        rng.choice([0, 0, 0, 2000, 40_000]),
        rng.random() < 0.5,
    )


@pytest.mark.parametrize("seed", range(4))
def test_thirty_thousand_random_steps(seed: int) -> None:
    rng, met = random.Random(seed), Counter[str]()
    for _ in range(60):
        line = HostileLine()
        line.it_begins_on_a_good_line(rng.randint(0, 5), rng.randint(0, 3))
        for _ in range(rng.randint(10, 240)):
            random_step(line, rng)
        line.teardown()
        counters = line.core.counters
        met.update(type(outcome).__name__ for outcome in line.outcomes)
        met["again"] += counters.images_resent
        met["refused"] += sum(counters.refused.values())
        met["resyncs"] += counters.resyncs
    assert min(met[name] for name in ("Received", "Lost", "again", "refused", "resyncs")) > 4, met


TestHostileLine = HostileLine.TestCase
TestHostileLine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
