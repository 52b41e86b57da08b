"""Any bytes in any pieces at any time, between calls in any order: the core raises nothing, and every image
has one outcome at the end."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.core_driver import EXPECTED, core_with, exchange
from fakes.link_device import FakeDevice, build, digest_codes, on_wire
from semflash.errors import LinkError
from semflash.link.core import Failed, Finished, Lost, NoStatistics, Received, State

KINDS = st.sampled_from([0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x01, 0x02, 0xFF])
#: Of whole payloads: a refusal, a credit, codes, costs, counts of the link, HELLO.
SIZES = (1, 6, 8, 12, 48, 96)
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
        self.device = FakeDevice(window=2, rows_per_frame=2)
        self.core = core_with(session=SESSION, first_request=FIRST, max_attempts=2)
        self.now = 0.0
        self.offered = 0
        self.forged = False
        self.outcomes: list[Received | Lost] = []

    def drain(self) -> Iterator[type]:
        """Kinds of the events that came, outcomes left out."""
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Received | Lost):
                self.outcomes.append(event)
                continue
            if isinstance(event, Failed | NoStatistics):
                assert isinstance(event.error, LinkError) and str(event.error)
            yield type(event)

    def write(self) -> None:
        while data := self.core.data_to_send():
            self.device.write(data)

    # The line.

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
        kind=KINDS,
        payload=st.one_of(st.binary(max_size=14), st.sampled_from(SIZES).map(bytes)),
        request=st.one_of(
            st.sampled_from([0, SESSION]), st.integers(FIRST, FIRST + 6), st.integers(0, 2**32 - 1)
        ),
        sequence=st.integers(0, 0xFFFF),
        near=st.booleans(),
        flip=st.booleans(),
    )
    def a_forged_frame_comes(
        self, kind: int, payload: bytes, request: int, sequence: int, near: bool, flip: bool
    ) -> None:
        self.forged = True
        number = (self.core.frame_due or 0) + sequence % 5 if near else sequence
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
        self.core.data_to_send(size)

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


TestHostileLine = HostileLine.TestCase
TestHostileLine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
