"""What was taken for what, in the live view."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rich")
from rich.text import Text

from semflash.monitor.live.confusion import confusion, side_by_side
from semflash.outputs.labels import LabelJudge, LabelReading

NAMES = ["shirt", "coat", "bag"]


def run_with(counts: dict[tuple[int, int], int], names: list[str] = NAMES) -> Any:
    contract = SimpleNamespace(class_names=names)
    return SimpleNamespace(confusion=Counter(counts), bundle=SimpleNamespace(contract=contract))


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_a_verdict_on_a_label_names_both_classes() -> None:
    verdict = LabelJudge(NAMES, [2, 1]).judge(LabelReading("shirt", 0.5, 0), 1)  # type: ignore[arg-type]
    assert verdict.classes == (1, 0)


def test_rows_are_the_truth_and_cells_tenths_of_them() -> None:
    counts = {(0, 0): 96, (0, 1): 4, (1, 0): 1, (1, 1): 1}
    head, *rows = plain(confusion(run_with(counts), 60))
    assert head.split()[-3:] == ["s", "c", "b"]
    assert [row.split() for row in rows] == [["shirt", "*", "."], ["coat", "5", "5"], ["bag"]]
    assert rows[1].index("5") < rows[1].rindex("5") == rows[0].index(".")


def test_diagonal_and_mistakes_have_different_colours() -> None:
    row = confusion(run_with({(1, 0): 1, (1, 1): 1}), 60)[2]
    assert [str(span.style) for span in row.spans][-3:] == ["red", "green", "red"]


@pytest.mark.parametrize(("names", "width"), [(NAMES, 18), ([f"class {n}" for n in range(13)], 90)])
def test_many_classes_or_little_room_leave_the_mistakes_made_most(names: list[str], width: int) -> None:
    counts = {(0, 0): 50, (0, 1): 2, (2, 1): 7}
    head, first, second = plain(confusion(run_with(counts, names), width))
    assert "as" in first and first.split()[0] == "7" and second.split()[0] == "2"
    assert all(len(line) <= max(width, len(head)) for line in (first, second))


def test_nothing_is_said_where_nothing_was_named() -> None:
    assert confusion(run_with({}), 60) == []
    assert confusion(run_with({(0, 0): 5}), 10) == []


def test_blocks_stand_beside_each_other_where_they_fit() -> None:
    left, right = [Text("ab"), Text("a")], [Text("one"), Text("two"), Text("three")]
    assert plain(side_by_side(left, right, 40)) == ["ab    one", "a     two", "      three"]
    assert plain(side_by_side(left, right, 10)) == ["ab", "a"]
    assert plain(side_by_side([], right, 40)) == ["one", "two", "three"]
    assert plain(side_by_side(left, [], 40)) == ["ab", "a"]
