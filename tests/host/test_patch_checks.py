"""Programs with levels of detail that break a rule, each refused for its own reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import programs
from semflash.errors import ProgramError
from semflash.program.checks import check_program
from semflash.program.layout import Head, Layout
from semflash.program.map_sizes import map_sizes
from semflash.program.patch_checks import check_head
from semflash.program.patch_stages import Coder, Select
from semflash.program.program import Program

SELECT, PATCHES = 1, 2
LEVELS, BACKGROUND, FIRST = 2, 3, 4


def changed(*path: Any, to: Any) -> Program:
    """The program with one place of its JSON changed."""
    tree = msgspec.json.decode(msgspec.json.encode(programs.detailed(protect=True)))
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return msgspec.convert(tree, Program)


def test_the_program_that_is_broken_below_is_sound() -> None:
    for program in (programs.detailed(), programs.detailed(protect=True), programs.detailed(contrast=False)):
        check_program(program)
        assert msgspec.json.decode(msgspec.json.encode(program), type=Program) == program


BROKEN = [
    (changed("stages", SELECT, "scores", to="levels"), "no stage before it writes"),
    (changed("stages", SELECT, "scores", to="image"), "one int8 score for each patch"),
    (changed("stages", SELECT, "image", to="scores"), "cut from the image"),
    (changed("stages", SELECT, "side", to=3), "one for each patch of 3 x 3"),
    (changed("stages", SELECT, "gains", to=[5, 4]), "a gain for each level"),
    (changed("stages", SELECT, "gains", to=[5, 6, 1]), "gains of the levels rise"),
    (changed("stages", SELECT, "rate", to="protect"), "control in bytes"),
    (changed("stages", SELECT, "rate", to="speed"), "no such control"),
    (changed("stages", SELECT, "background", to="levels"), "is there already"),
    (changed("controls", 0, "low", to=9), "below the smallest payload"),
    (changed("controls", 0, "unit", to="entry"), "control in bytes"),
    (changed("controls", 1, "high", to=2), "must protect the head or not"),
    (changed("controls", 1, "unit", to="share"), "must protect the head or not"),
    (changed("tensors", 0, "shape", to=[8, 6, 2]), "1 or 3 channels"),
    (changed("tensors", 0, "shape", to=[8, 8, 1]), "one for each patch of 2 x 2"),
    (changed("tensors", 1, "shape", to=[4, 3, 2]), "one int8 score for each patch"),
    (changed("tensors", 1, "holds", to={"kind": "codes", "levels": 9}), "reads or writes codes"),
    (changed("tensors", LEVELS, "shape", to=[12]), "one for each patch of 2 x 2"),
    (
        changed("tensors", LEVELS, "holds", to={"kind": "values", "scale": 1, "zero_point": 0}),
        "must hold codes",
    ),
    (
        changed("tensors", LEVELS, "holds", to={"kind": "codes", "levels": 9}),
        "at most 64 places and 8 levels",
    ),
    (changed("tensors", LEVELS, "holds", to={"kind": "codes", "levels": 5}), "a gain for each level"),
    (changed("tensors", BACKGROUND, "shape", to=[2]), "background must be"),
    (changed("tensors", BACKGROUND, "holds", to={"kind": "codes", "levels": 17}), "background must be"),
    (changed("tensors", FIRST + 2, "shape", to=[12, 5]), "codes of level 3 must be bytes"),
    (
        changed("tensors", FIRST, "holds", to={"kind": "codes", "levels": 255}),
        "codes of level 1 must be bytes",
    ),
    (changed("stages", PATCHES, "levels", to="image"), "one for each patch"),
    (changed("stages", PATCHES, "side", to=1), "one for each patch"),
    (changed("stages", PATCHES, "outputs", to=["codes-1", "codes-2"]), "needs an output and a coder"),
    (changed("stages", PATCHES, "coders", 0, "bits", to=[3, 4]), "whole bytes"),
    (changed("stages", PATCHES, "coders", 0, "bits", to=[4, 4]), "wrong lengths"),
    (changed("stages", PATCHES, "coders", 0, "weights", to=[1] * 7), "wrong lengths"),
    (changed("stages", PATCHES, "coders", 0, "thresholds", to=[1] * 37), "wrong lengths"),
    (changed("stages", PATCHES, "coders", 0, "thresholds", to=[*range(7), *range(31, 0, -1)]), "descend"),
    (changed("payload", "head", "map", to="background"), "must be the map in the payload's head"),
    (changed("payload", "head", "map", to="nothing"), "must be the map in the payload's head"),
    (changed("payload", "head", "also", to=["nothing"]), "no such tensor"),
    (changed("payload", "regions", 0, "source", to="nothing"), "no such tensor"),
    (changed("payload", "head", "also", to=["background", "background"]), "regions repeat"),
    (changed("payload", "head", "also", to=[]), "nothing reads a tensor"),
    (changed("payload", "head", "also", to=["scores"]), "must hold codes"),
    (changed("payload", "head", "protect", to="speed"), "no such control"),
    (changed("payload", "head", "protect", to="rate"), "must protect the head or not"),
    (changed("payload", "regions", 0, "items", "level", to=2), "must take more bits than the one below"),
    (changed("payload", "regions", 0, "items", "level", to=4), "sent whole or by the head"),
    (changed("payload", "regions", 0, "items", "map", to="background"), "only patches of level 1 have its"),
    (
        changed("payload", "regions", 0, "items", to={"kind": "every"}),
        "more bits than the one below",
    ),
    (
        changed("payload", "regions", 0, "items", to={"kind": "ones", "mask": "levels"}),
        "sent whole or by the head",
    ),
    (changed("payload", "regions", 1, "protection", to="repeat-3"), "sent whole or by the head"),
]


@pytest.mark.parametrize(("program", "words"), BROKEN, ids=[f"{n}-{w}" for n, (_, w) in enumerate(BROKEN)])
def test_each_broken_program_is_refused_for_its_reason(program: Program, words: str) -> None:
    with pytest.raises(ProgramError, match=words) as error:
        check_program(program)
    assert error.value.what


def test_regions_told_by_a_map_need_a_head() -> None:
    program = programs.detailed()
    layout = msgspec.structs.replace(program.payload, head=msgspec.UNSET)
    with pytest.raises(ProgramError, match="map in the payload's head"):
        check_program(msgspec.structs.replace(program, payload=layout))
    with pytest.raises(ProgramError, match="has no head"):
        map_sizes(layout, {})


PLAIN = msgspec.to_builtins(programs.detailed().stages[SELECT])
CODER = msgspec.to_builtins(programs.coder((3, 5), 4, 0))


@pytest.mark.parametrize(
    ("kind", "plain", "field", "taken", "refused"),
    [
        (Select, PLAIN, "side", 16, 17),
        (Select, PLAIN, "side", 1, 0),
        (Select, PLAIN, "table", [4096] * 256, [4097] * 256),
        (Select, PLAIN, "table", [1] * 256, [0] * 256),
        (Select, PLAIN, "table", [1] * 256, [1] * 255),
        (Select, PLAIN, "gains", [65_535] * 7, [65_535] * 8),
        (Select, PLAIN, "gains", [1], [0]),
        (Select, PLAIN, "gains", [65_535], [65_536]),
        (Coder, CODER, "bits", [6] * 4, [7] * 4),
        (Coder, CODER, "bits", [1] * 256, [1] * 257),
        (Coder, CODER, "bits", [1], []),
        (Coder, CODER, "weights", [-128, 127], [128]),
        (Coder, CODER, "thresholds", [-(1 << 31), (1 << 31) - 1], [1 << 31]),
    ],
)
def test_numbers_have_their_limits(kind: Any, plain: Any, field: str, taken: Any, refused: Any) -> None:
    assert msgspec.convert(plain | {field: taken}, kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain | {field: refused}, kind)


@pytest.mark.parametrize(
    ("head", "first", "words"),
    [
        (Head("scores", ("background",)), 0, "must hold codes"),
        (Head("nothing", ("background",)), 0, "no such tensor"),
        (Head("levels", ("background",)), 1, "each level above 0 must have a region"),
        (Head("levels", ("codes-2",)), 2, "at most 16 codes beside its map"),
    ],
)
def test_a_head_is_checked_without_a_selection_too(head: Head, first: int, words: str) -> None:
    program = programs.detailed()
    layout = Layout(program.payload.regions[first:], head)
    with pytest.raises(ProgramError, match=words):
        check_head(msgspec.structs.replace(program, payload=layout))


def with_falls(*path: Any, to: Any) -> Program:
    """The program with levels by falls, one place of its JSON changed."""
    tree = msgspec.json.decode(msgspec.json.encode(programs.by_falls()))
    place = tree["stages"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return msgspec.convert(tree, Program)


def test_a_program_with_falls_is_sound_and_survives_json() -> None:
    program = programs.by_falls()
    check_program(program)
    assert msgspec.json.decode(msgspec.json.encode(program), type=Program) == program
    # What a program without them does not say stands in no JSON, so that hashes of older bundles stay.
    plain = msgspec.to_builtins(programs.detailed())
    assert "falls" not in plain["stages"][SELECT] and "absolute" not in plain["stages"][SELECT]
    assert "background" not in plain["stages"][PATCHES]


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        ((SELECT, "contrast"), True, "neither contrast nor gains"),
        ((SELECT, "gains"), [3, 2, 1], "neither contrast nor gains"),
        ((SELECT, "falls", "picks"), [[0, 5], list(range(8))], "falls of each level"),
        ((SELECT, "falls", "centres"), [[0] * 40], "falls of each level"),
        ((SELECT, "falls", "picks", 0), [0], "wrong lengths"),
        ((SELECT, "falls", "picks", 0), [0, 8], "coefficient that the last one does not have"),
        ((SELECT, "falls", "picks", 2), [1, 0, 2, 3, 4, 5, 6, 7], "a scale of each coefficient"),
        ((SELECT, "falls", "centres", 1), [0], "wrong lengths"),
        ((SELECT, "falls", "scales"), [1] * 7, "a scale of each coefficient"),
        ((PATCHES, "background"), "scores", "same background"),
    ],
)
def test_falls_that_break_a_rule_are_refused(path: tuple[Any, ...], to: Any, words: str) -> None:
    with pytest.raises(ProgramError, match=words) as error:
        check_program(with_falls(*path, to=to))
    assert error.value.remedy


def test_a_background_that_is_none_is_refused() -> None:
    tree = msgspec.json.decode(msgspec.json.encode(programs.detailed()))
    tree["stages"][PATCHES]["background"] = "scores"
    with pytest.raises(ProgramError, match="a code of each channel"):
        check_program(msgspec.convert(tree, Program))
