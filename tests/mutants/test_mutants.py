"""The mutator changes what it should, leaves alone what it should, and names keep while lines move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mutants import c_rules, python_rules, table
from mutants.coverage_map import _statement
from mutants.mutant import named
from mutants.rooms import ROOMS, ROOT, Room, files
from mutants.sample import draw, mutants_of

PYTHON_CASES = {
    "def f(a, b):\n    return a < b\n": {"a <= b"},
    "def f(a, b):\n    return a == b\n": {"a != b"},
    "def f(a, b):\n    return a in b\n": {"a not in b"},
    "def f(a, b):\n    return a and b\n": {"a or b", "a", "b"},
    "def f(a):\n    return not a\n": {"a"},
    "def f(a, b=5, *, c, d=7):\n    return a\n": {"6", "4", "8"},
    "def f(a):\n    return a << 1\n": {"a >> 1", "2"},
    "def f(a):\n    return min(a)\n": {"max(a)"},
    "def f(a):\n    if a:\n        raise ValueError(3 + 4)\n": {"True", "False", "pass"},
    "def f(a):\n    a.clear()\n": {"pass"},
    "def f(a):\n    a.x = True\n": {"pass", "False"},
    "def f(a):\n    return [x for x in a if x]\n": {"True"},
    "try:\n    x()\nexcept (OSError, ValueError):\n    y = 0\n": {"pass", "(OSError,)", "(ValueError,)", "1"},
    "Side = Annotated[int, Meta(ge=1)]\n": {"2"},
    "class A:\n    side: Annotated[int, Meta(le=8)]\n": {"9", "7"},
}
LEFT_ALONE = [
    '"""Text with 1 < 2."""\n',
    "def f(a: tuple[int, 3]) -> X[4]:\n    return a\n",
    "def f(a):\n    assert a > 0\n",
    "@cache(3)\ndef f(a):\n    return a\n",
    'def f(a):\n    return f"{a + 1}"\n',
    'def f(a):\n    log.debug("read %d", a + 1)\n',
    "WAIT_S = 3.0\n",
    "def f(a):\n    return a.read(timeout=3)\n",
    "def f(a, wait_s=3, *, timeout=4):\n    return a\n",
    "if TYPE_CHECKING:\n    import x\n",
]
C_CASES = {
    "    if (a < b) {": {"<=", "0", "1"},
    "    x += 3u;": {"-=", "4u", "2u", "(void)0;"},
    "    sf_call(a);": {"(void)0;"},
    "    return !a;": {""},
    "    for (i = a; i < n; i++) {": {"<=", "--"},
    '    say("1 < 2"); /* 3 < 4 */': set(),
    "    const uint8_t *p = q;": set(),
}


@pytest.mark.parametrize("source", PYTHON_CASES)
def test_python_is_changed_by_the_rules(source: str) -> None:
    found = python_rules.changes(source.encode())
    assert {change.new.removeprefix("(").removesuffix(")") for change in found} == {
        text.removeprefix("(").removesuffix(")") for text in PYTHON_CASES[source]
    }


@pytest.mark.parametrize("source", LEFT_ALONE)
def test_what_no_test_should_pin_is_left_alone(source: str) -> None:
    assert python_rules.changes(source.encode()) == []


@pytest.mark.parametrize("line", C_CASES)
def test_c_is_changed_by_the_rules(line: str) -> None:
    source = f"#define N 8\nstatic int f(int a) {{\n{line}\n}}\n".encode()
    assert {change.new for change in c_rules.changes(source)} == C_CASES[line]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_room_has_sources_and_tests_and_its_python_mutants_compile(room: Room) -> None:
    assert list(files(room.tests))
    for mutant in mutants_of(room, ROOT)[::40]:
        changed = mutant.apply((ROOT / mutant.path).read_bytes())
        assert changed != (ROOT / mutant.path).read_bytes()
        if mutant.path.endswith(".py"):
            compile(changed, mutant.path, "exec")


def test_a_mutant_keeps_its_name_when_its_line_or_its_folder_moves() -> None:
    source = b"def f(a):\n    return a < 2\n"
    moved = b"import os\n\n\n" + source
    before = named("link", "host/semflash/older/x.py", source, python_rules.changes(source))
    after = named("link", "host/semflash/link/x.py", moved, python_rules.changes(moved))
    assert [mutant.key for mutant in before] == [mutant.key for mutant in after]
    assert len({mutant.key for mutant in before}) == len(before) == 3


def test_equal_lines_have_mutants_of_different_names() -> None:
    source = b"def f(a):\n    a.x()\n    a.x()\n"
    assert len({mutant.key for mutant in named("link", "x.py", source, python_rules.changes(source))}) == 2


def test_one_seed_draws_the_same_mutants_again_one_per_line_and_in_every_room() -> None:
    first, second, other = (draw(60, seed, ROOT, lambda _: True) for seed in (1, 1, 2))
    assert [mutant.key for mutant in first] == [mutant.key for mutant in second]
    assert {mutant.key for mutant in first} != {mutant.key for mutant in other}
    assert len(first) == len({mutant.anchor for mutant in first}) == 60
    assert {mutant.room for mutant in first} == {room.name for room in ROOMS}


def test_a_mutant_that_cannot_be_used_makes_room_for_another() -> None:
    refused = {mutant.key for mutant in draw(60, 1, ROOT, lambda _: True)}
    drawn = draw(60, 1, ROOT, lambda mutant: mutant.key not in refused)
    assert len(drawn) == 60 and not refused & {mutant.key for mutant in drawn}


def test_the_table_counts_what_matters(tmp_path: Path) -> None:
    def result(status: str) -> dict[str, object]:
        return {
            "path": "x",
            "line": 1,
            "rule": "r",
            "old": "a",
            "new": "b",
            "status": status,
            "by": "",
            "seconds": 2,
        }

    states = {
        "link/a:f:1": "killed",
        "link/a:f:2": "time-out",
        "link/a:f:3": "survived",
        "edge/b:f:4": "not reached",
    }
    whole = {"seed": 1, "mutants": {key: result(status) for key, status in states.items()}}
    (tmp_path / "r.json").write_text(json.dumps(whole))
    (tmp_path / "e.toml").write_text('[equivalent]\n"edge/b:f:4" = "Nothing can show it."\n')
    (tmp_path / "page.md").write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(tmp_path / "page.md", tmp_path / "r.json", tmp_path / "e.toml")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| **all** | 4 | 2 | 1 | 1 | 1 | 66.7 % | 2.0 |" in text
    assert "| edge | 1 | 0 | 0 | 1 | 0 | - | 2.0 |" in text
    assert "- `link/a:f:3` (line 1): `a` to `b`\n" in text and "Nothing can show it." in text


@pytest.mark.parametrize(
    ("line", "lines"), [(1, [1]), (2, [2, 3]), (3, [2, 3]), (4, [4, 5, 6]), (6, [4, 5, 6]), (7, [7])]
)
def test_a_line_is_executed_when_its_statement_is(line: int, lines: list[int]) -> None:
    source = b"def f(a):\n    if (a and\n   3 < 4):\n        g(a,\n  b,\n  7)\n    return 1\n"
    assert list(_statement(source, line)) == lines
