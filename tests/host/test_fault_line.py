"""What each fault does to a line, exactly: rates of 1, and faults that are wanted once."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from semflash.link.faults.line import FaultLine
from semflash.link.faults.log import FaultLog
from semflash.link.faults.spec import Fault

FRAMES = [bytes([n]) * 9 + b"\0" for n in (1, 2, 3, 4)]


class Bad:
    """A line, what its board and port were told, and its log."""

    def __init__(self, folder: Path, direction: str = "up", can_reset: bool = True, **faults: Fault) -> None:
        self.calls: list[tuple[str, int]] = []
        self._path = folder / "faults.jsonl"
        self._log = FaultLog(self._path)
        self.line = FaultLine(
            direction, faults, 1, self._log, reset=self._reset if can_reset else None, disconnect=self._pull
        )

    def _reset(self) -> None:
        self.calls.append(("reset", len(self.line._queue)))

    def _pull(self, seconds: float) -> None:
        self.calls.append(("pull", int(seconds)))

    def taken(self, now: float = 0.0) -> list[bytes]:
        pieces = []
        while piece := self.line.take(now):
            pieces.append(piece)
        return pieces

    def noted(self) -> list[dict[str, Any]]:
        self._log.close()
        return [json.loads(text) for text in self._path.read_text().splitlines()]


def test_a_reset_on_the_way_up_cuts_its_frame_and_nothing_follows(tmp_path: Path) -> None:
    bad = Bad(tmp_path, reset=Fault(1.0))
    bad.line.feed(b"".join(FRAMES[:2]), 2.0)
    [note] = bad.noted()
    got = b"".join(bad.taken(2.0))
    assert got == FRAMES[0][: note["cut"]] and bad.calls == [("reset", 1 if got else 0)]
    assert (note["kind"], note["direction"], note["seconds"], note["offset"]) == ("reset", "up", 2.0, 0)
    assert 0 <= note["cut"] < 10


def test_a_reset_on_the_way_down_loses_what_it_overtakes_and_the_rest_of_its_frame_arrives(
    tmp_path: Path,
) -> None:
    bad = Bad(tmp_path, "down")
    bad.line.feed(FRAMES[0], 0.0)
    bad.line.once("reset")
    bad.line.feed(b"".join(FRAMES[1:]), 0.0)
    [note] = bad.noted()
    assert (note["kind"], note["offset"]) == ("reset", 10)
    assert b"".join(bad.taken()) == FRAMES[1][note["cut"] :] + FRAMES[2] + FRAMES[3]
    assert bad.calls == [("reset", 0)]


def test_a_board_that_cannot_be_reset_is_not(tmp_path: Path) -> None:
    bad = Bad(tmp_path, can_reset=False, reset=Fault(1.0))
    bad.line.feed(b"".join(FRAMES), 0.0)
    assert b"".join(bad.taken()) == b"".join(FRAMES) and bad.noted() == []


def test_a_board_that_can_be_reset_is_not_unless_the_fault_happens(tmp_path: Path) -> None:
    bad = Bad(tmp_path, lose=Fault(1.0))
    bad.line.feed(FRAMES[0], 0.0)
    assert bad.calls == [] and [note["kind"] for note in bad.noted()] == ["lose"]


def test_a_pulled_cable_takes_its_frame_and_what_follows(tmp_path: Path) -> None:
    bad = Bad(tmp_path, disconnect=Fault(1.0, 3.0))
    bad.line.feed(b"".join(FRAMES[:2]), 1.0)
    assert bad.taken(1.0) == [] and bad.calls == [("pull", 3)]
    assert bad.noted() == [
        {"seconds": 1.0, "direction": "up", "offset": 0, "kind": "disconnect", "for_s": 3.0}
    ]


@pytest.mark.parametrize(
    ("kind", "amount", "arrives"),
    [("lose", 0.0, FRAMES[:1] + FRAMES[2:]), ("duplicate", 0.0, [*FRAMES[:2], *FRAMES[1:]])],
)
def test_one_frame_is_lost_or_doubled_and_the_others_of_the_same_write_arrive(
    tmp_path: Path, kind: str, amount: float, arrives: list[bytes]
) -> None:
    bad = Bad(tmp_path)
    bad.line.feed(FRAMES[0], 0.0)
    bad.line.once(kind, amount)
    bad.line.feed(b"".join(FRAMES[1:]), 0.5)
    assert b"".join(bad.taken(1.0)) == b"".join(arrives)
    assert bad.noted() == [{"seconds": 0.5, "direction": "up", "offset": 10, "kind": kind, "bytes": 10}]
    assert bad.line.frames == 4


def test_a_delayed_frame_is_overtaken_and_a_reset_forgets_it(tmp_path: Path) -> None:
    bad = Bad(tmp_path)
    bad.line.once("delay", 2.0)
    bad.line.feed(b"".join(FRAMES[:2]), 1.0)
    assert b"".join(bad.taken(1.0)) == FRAMES[1] and bad.line.due == 3.0
    assert bad.taken(2.999) == [] and bad.taken(3.0) == [FRAMES[0]]
    bad.line.once("delay", 2.0)
    bad.line.feed(FRAMES[2], 4.0)
    bad.line.drop_held(5.0)
    assert bad.taken(100.0) == [] and bad.line.due is None
    assert [(note["offset"], note["for_s"], note["bytes"]) for note in bad.noted()] == [
        (0, 2.0, 10),
        (20, 2.0, 10),
    ]


def test_a_stall_holds_everything_and_loses_nothing(tmp_path: Path) -> None:
    bad = Bad(tmp_path)
    bad.line.once("stall", 0.25)
    bad.line.feed(b"".join(FRAMES), 1.0)
    assert bad.taken(1.249) == [] and bad.line.due == 1.25
    assert b"".join(bad.taken(1.25)) == b"".join(FRAMES)
    assert [(note["kind"], note["for_s"]) for note in bad.noted()] == [("stall", 0.25)]


@pytest.mark.parametrize(
    ("kind", "amount", "size"), [("drop", 3.0, -3), ("insert", 4.0, 4), ("burst", 5.0, 0), ("flip", 0.0, 0)]
)
def test_a_fault_that_is_wanted_once_strikes_the_very_next_byte(
    tmp_path: Path, kind: str, amount: float, size: int
) -> None:
    bad = Bad(tmp_path)
    before, after = bytes(range(1, 101)), bytes(range(101, 201))
    bad.line.feed(before, 0.0)
    bad.line.once(kind, amount)
    bad.line.feed(after, 0.0)
    got = b"".join(bad.taken())
    assert got[:100] == before and len(got) == 200 + size
    rest = got[100:]
    if kind == "drop":
        assert rest == after[3:]
    elif kind == "insert":
        assert rest[4:] == after
    elif kind == "burst":
        assert rest[:5] != after[:5] and rest[5:] == after[5:]
    else:
        assert rest[0] ^ after[0] == 1 and rest[1:] == after[1:]
    [note] = bad.noted()
    assert (note["offset"], note["kind"]) == (100, kind)
    assert note.get("bytes", int(amount)) == int(amount) and note.get("bits", 1) == 1


def test_every_bit_and_every_byte_has_its_fault_at_rate_one(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(50)
    flipped = Bad(tmp_path, flip=Fault(1.0))
    flipped.line.feed(data[:20], 0.0)
    flipped.line.feed(data[20:], 0.0)
    assert b"".join(flipped.taken()) == bytes(byte ^ 0xFF for byte in data)
    assert [(note["offset"], note["bits"]) for note in flipped.noted()] == [(at, 0xFF) for at in range(50)]
    dropped = Bad(tmp_path, drop=Fault(1.0, 1.0))
    dropped.line.feed(data, 0.0)
    assert dropped.taken() == [] and len(dropped.noted()) == 50


def test_a_drop_that_is_longer_than_a_write_goes_on_in_the_next(tmp_path: Path) -> None:
    bad = Bad(tmp_path)
    bad.line.once("drop", 25.0)
    for frame in FRAMES:
        bad.line.feed(frame, 0.0)
    assert b"".join(bad.taken()) == b"".join(FRAMES)[25:]


def test_stop_ends_what_is_under_way(tmp_path: Path) -> None:
    bad = Bad(tmp_path)
    bad.line.once("drop", 25.0)
    bad.line.feed(FRAMES[0], 0.0)
    bad.line.stop()
    bad.line.feed(FRAMES[1], 0.0)
    assert b"".join(bad.taken()) == FRAMES[1]


def test_gaps_between_faults_are_geometric() -> None:
    line = FaultLine("up", {"drop": Fault(0.2, 1.0)}, 5, FaultLog())
    gaps = [line._gap("drop") for _ in range(20_000)]
    assert min(gaps) == 0 and sum(gaps) / len(gaps) == pytest.approx(0.8 / 0.2, rel=0.05)
    assert sum(gap == 0 for gap in gaps) / len(gaps) == pytest.approx(0.2, rel=0.05)
    assert sum(gap >= 5 for gap in gaps) / len(gaps) == pytest.approx(math.pow(0.8, 5), rel=0.1)


def test_a_paced_line_delivers_pieces_of_64_bytes_in_time() -> None:
    line = FaultLine("up", {}, 0, FaultLog(), baud=100_000)
    line.feed(bytes(150), 1.0)
    assert line.take(1.0063) == b"" and line.due == pytest.approx(1.0064)
    times, sizes = [], []
    while line.due is not None:
        times.append(line.due)
        sizes.append(len(line.take(line.due)))
    assert sizes == [64, 64, 22] and times == pytest.approx([1.0064, 1.0128, 1.015])


def test_frames_are_counted_with_and_without_faults_of_frames(tmp_path: Path) -> None:
    for name, faults in (("without", {}), ("with", {"lose": Fault(1e-9)})):
        (tmp_path / name).mkdir()
        bad = Bad(tmp_path / name, **faults)
        for byte in b"".join(FRAMES):
            bad.line.feed(bytes([byte]), 0.0)
        assert bad.line.frames == 4 and b"".join(bad.taken()) == b"".join(FRAMES)


def test_a_frame_that_never_ends_is_passed_on_in_parts(tmp_path: Path) -> None:
    bad = Bad(tmp_path, lose=Fault(1e-9))
    bad.line.feed(b"\1" * 16_384, 0.0)
    assert bad.taken() == []
    bad.line.feed(b"\1", 0.0)
    assert b"".join(bad.taken()) == b"\1" * 16_385


def test_joined_pieces_wait_for_each_other_but_not_long(tmp_path: Path) -> None:
    bad = Bad(tmp_path, join=Fault(1.0))
    bad.line.feed(b"ab", 1.0)
    bad.line.feed(b"cd", 1.01)
    assert bad.taken(1.029) == [] and bad.line.due == pytest.approx(1.03)
    assert bad.taken(1.031) == [b"abcd"] and bad.line.due is None
    assert [note["bytes"] for note in bad.noted()] == [2, 4]


def test_split_pieces_are_both_there(tmp_path: Path) -> None:
    bad = Bad(tmp_path, split=Fault(1.0))
    bad.line.feed(FRAMES[0], 0.0)
    [note] = bad.noted()
    assert bad.taken() == [FRAMES[0][: note["cut"]], FRAMES[0][note["cut"] :]]
    assert 1 <= note["cut"] < 10


def test_a_line_without_a_speed_passes_on_what_it_was_given_in_one_piece_at_once(tmp_path: Path) -> None:
    bad = Bad(tmp_path)
    data = random.Random(2).randbytes(1000)
    bad.line.feed(data, 3.0)
    assert bad.line.due == 3.0
    assert bad.taken(3.0) == [data]


def test_the_log_says_why_its_file_ended_before_the_run(tmp_path: Path) -> None:
    with FaultLog() as counted, FaultLog(tmp_path / "faults.jsonl") as whole:
        counted.add(0.0, "up", 0, "flip")
        whole.add(0.0, "up", 0, "flip")
        assert counted.failure is None and whole.failure is None
    with FaultLog(Path("/dev/full")) as cut:
        cut.add(0.0, "up", 0, "flip")
        assert cut.failure is not None and cut.failure.value == Path("/dev/full")
        assert "the log of faults" in cut.failure.what and "--fault-log" in cut.failure.remedy
        assert cut.total == 1
