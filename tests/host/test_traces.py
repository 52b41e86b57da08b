"""Levels that change while images run: files of steps, and seeded traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semflash.channels.trace import SHAPES, Trace, make_trace, read_trace
from semflash.errors import UsageError
from semflash.program.quality import Ber, Snr


def test_a_trace_gives_each_image_its_level_and_keeps_the_last() -> None:
    trace = Trace(((2, 15.0), (1, 3.0), (3, -1.0)))
    assert trace.levels(9).tolist() == [15, 15, 3, -1, -1, -1, -1, -1, -1]
    assert trace.at(10**9) == -1.0
    for steps in ((), ((0, 1.0),), ((3, 1.0), (-1, 2.0))):
        with pytest.raises(UsageError, match="steps of an image or more"):
            Trace(steps)


def test_a_file_has_a_step_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "steps.txt"
    path.write_text("# down and up\n200 15\n\n100   -3.5  # bad\n1 100\n")
    assert read_trace(path, Snr).steps == ((200, 15.0), (100, -3.5), (1, 100.0))
    path.write_text("10 0\n20 0.05\n")
    assert read_trace(path, Ber).steps == ((10, 0.0), (20, 0.05))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "steps of an image"),
        ("# nothing\n", "steps of an image"),
        ("10\n", "line 1"),
        ("10 3\n5 4 6\n", "line 2"),
        ("ten 3\n", "not a step"),
        ("1.5 3\n", "not a step"),
        ("10 x\n", "not a step"),
        ("10 nan\n", "no signal-to-noise ratio.*line 1"),
        ("10 101\n", "no signal-to-noise ratio"),
        ("10 -inf\n", "no signal-to-noise ratio"),
        ("0 3\n", "steps of an image"),
        ("-4 3\n", "steps of an image"),
        ("1 3\n" * 100_001, "100,000 steps"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_by_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "steps.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){says}"):
        read_trace(path, Snr)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match="cannot read the trace"):
            read_trace(path, Snr)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe10 3")
    with pytest.raises(UsageError, match="cannot read the trace"):
        read_trace(binary, Snr)
    large = tmp_path / "large"
    large.write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 4 MiB"):
        read_trace(large, Snr)
    path = tmp_path / "rates"
    path.write_text("10 0.6\n")
    with pytest.raises(UsageError, match="no bit error rate"):
        read_trace(path, Ber)


def test_made_traces_change_as_often_as_they_say_and_stay_in_their_range() -> None:
    levels = {shape: make_trace(shape, 3000, -6.0, 18.0, seed=1).levels(3000) for shape in SHAPES}
    for found in levels.values():
        assert found.min() >= -6.0 and found.max() <= 18.0
    changed = {shape: np.diff(found) != 0 for shape, found in levels.items()}
    assert not changed["steady"].any() and changed["image"].all() and changed["walk"].all()
    assert not changed["pair"][::2].any() and changed["pair"][1::2].all()
    assert abs(np.diff(levels["walk"])).max() < 0.05 * 24, "a slow walk"
    assert np.ptp(levels["walk"]) > 6, "that gets around"
    for shape in ("pair", "image"):  # even: mean of the range, its width over sqrt(12)
        assert levels[shape].mean() == pytest.approx(6.0, abs=0.6)
        assert levels[shape].std() == pytest.approx(24 / 12**0.5, abs=0.4)


def test_the_seed_decides_a_trace() -> None:
    for shape in SHAPES:
        one, again, other = (make_trace(shape, 20, 0.0, 9.0, seed=seed) for seed in (3, 3, 4))
        assert one == again != other


def test_rates_are_even_in_powers_of_ten() -> None:
    rates = make_trace("image", 4000, 1e-4, 1e-2, Ber).levels(4000)
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    assert float((rates < 1e-3).mean()) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("steps", 10, 0.0, 1.0), "no such trace"),
        (("walk", 0, 0.0, 1.0), "levels from low to high"),
        (("walk", 10, 2.0, 1.0), "levels from low to high"),
        (("walk", 10, float("nan"), 1.0), "levels from low to high"),
        (("walk", 10, -101.0, 1.0), "levels from low to high"),
        (("image", 10, 0.0, 0.1, Ber), "levels from low to high"),
        (("image", 10, 0.01, 0.6, Ber), "levels from low to high"),
    ],
)
def test_traces_that_are_none_are_refused(arguments, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_trace(*arguments)
