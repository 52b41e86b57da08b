"""The limits of a device program's schema from both sides, and which bundles need no first run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import programs
from semflash.bundle import known
from semflash.bundle.reader import read_bundle, zoo_names
from semflash.errors import ProgramError
from semflash.fields import Ber, Channels, Count, FileName, Int8, Name, Scale, Sha256, Share, Side, Text
from semflash.program.checks import check_tail
from semflash.program.controls import Control
from semflash.program.program import Program
from semflash.program.stages import GdnTail, Modulate, Modulation, Normalise, Project, Projection, TableTail

PLAIN = msgspec.to_builtins(programs.plain())
GDN = msgspec.to_builtins(programs.gdn_tail(2, 3))
TABLE = msgspec.to_builtins(programs.table_tail(1, 4))
PROJECTION = msgspec.to_builtins(programs.projection(3, 2))
MODULATION = msgspec.to_builtins(programs.modulation(3))
MODULATE = msgspec.to_builtins(programs.modulated().stages[1])
PROJECT = msgspec.to_builtins(programs.symbols().stages[1])
NORMALISE = msgspec.to_builtins(programs.symbols().stages[2])
CONTROL = {"name": "n", "id": 1, "unit": "entry", "low": 0, "high": 1, "default": 0}


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (Name, ["a", "0", "a" * 64, "a.b_c-d"], ["", "A", "-a", ".a", "a" * 65, "a\n", "a b"]),
        (FileName, ["A", "a" * 64, "A.b_c-D"], ["", ".a", "_a", "a/b", "a" * 65, "a\n"]),
        (Sha256, ["0" * 64, "f" * 64], ["0" * 63, "0" * 65, "F" * 64, "g" * 64, "0" * 64 + "\n"]),
        (Text, ["", "ä b", "x" * 200], ["x" * 201, "\x1f", "\x7f", "\x9f", "a\n"]),
        (Side, [1, 4096], [0, 4097]),
        (Channels, [1, 256], [0, 257]),
        (Int8, [-128, 127], [-129, 128]),
        (Scale, [1e-30, 1e6], [0.0, -1.0, 1.1e6]),
        (Ber, [0.0, 0.5], [-1e-9, 0.51]),
        (Share, [0.0, 1.0], [-1e-9, 1.1]),
        (Count, [0, 1 << 53], [-1, (1 << 53) + 1]),
    ],
)
def test_types_of_fields_have_their_limits(kind: Any, taken: list[Any], refused: list[Any]) -> None:
    for value in taken:
        assert msgspec.convert(value, kind) == value
    for value in refused:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, kind)


@pytest.mark.parametrize(
    ("kind", "plain", "field", "taken", "refused"),
    [
        (GdnTail, GDN, "levels", 16, 17),
        (GdnTail, GDN, "levels", 2, 1),
        (GdnTail, GDN, "beta", [1, 1 << 62], [0, 1]),
        (GdnTail, GDN, "beta", [1] * 256, [1] * 257),
        (GdnTail, GDN, "beta", [1], [(1 << 62) + 1]),
        (GdnTail, GDN, "gamma", [0, (1 << 31) - 1], [1 << 31]),
        (GdnTail, GDN, "gamma", [0], [-1]),
        (GdnTail, GDN, "gamma", [0] * 65_536, [0] * 65_537),
        (GdnTail, GDN, "threshold", [-(1 << 31), (1 << 31) - 1], [1 << 31]),
        (GdnTail, GDN, "threshold", [0], [-(1 << 31) - 1]),
        (GdnTail, GDN, "threshold", [0] * 3840, [0] * 3841),
        (TableTail, TABLE, "levels", 256, 257),
        (TableTail, TABLE, "levels", 2, 1),
        (TableTail, TABLE, "table", [0, 255], [256]),
        (TableTail, TABLE, "table", [0], [-1]),
        (TableTail, TABLE, "table", [0] * 65_536, [0] * 65_537),
        (Projection, PROJECTION, "weights", [-128, 127], [128]),
        (Projection, PROJECTION, "weights", [0], [-129]),
        (Projection, PROJECTION, "weights", [0] * 65_536, [0] * 65_537),
        (Projection, PROJECTION, "bias", [-(1 << 31), (1 << 31) - 1], [1 << 31]),
        (Projection, PROJECTION, "bias", [0] * 256, [0] * 257),
        (Projection, PROJECTION, "multiplier", [0, (1 << 31) - 1], [1 << 31]),
        (Projection, PROJECTION, "multiplier", [0] * 256, [-1]),
        (Projection, PROJECTION, "multiplier", [0], [0] * 257),
        (Projection, PROJECTION, "shift", [-31, 30], [31]),
        (Projection, PROJECTION, "shift", [0] * 256, [-32]),
        (Projection, PROJECTION, "shift", [0], [0] * 257),
        (Project, PROJECT, "tables", [PROJECTION] * 16, [PROJECTION] * 17),
        (Project, PROJECT, "tables", [PROJECTION], []),
        (Modulation, MODULATION, "multiplier", [-(1 << 15), (1 << 15) - 1], [1 << 15]),
        (Modulation, MODULATION, "multiplier", [0] * 256, [-(1 << 15) - 1]),
        (Modulation, MODULATION, "multiplier", [0], [0] * 257),
        (Modulation, MODULATION, "offset", [-(1 << 31), (1 << 31) - 1], [1 << 31]),
        (Modulation, MODULATION, "offset", [0] * 256, [0] * 257),
        (Modulation, MODULATION, "shift", 1, 0),
        (Modulation, MODULATION, "shift", 15, 16),
        (Modulate, MODULATE, "tables", [MODULATION] * 16, [MODULATION] * 17),
        (Normalise, NORMALISE, "gain", 1, 0),
        (Normalise, NORMALISE, "gain", (1 << 24) - 1, 1 << 24),
        (Control, CONTROL, "follows", [0.5] * 64, [0.5] * 65),
        (Control, CONTROL, "follows", [], None),
        (Program, PLAIN, "tensors", PLAIN["tensors"][:1] * 64, PLAIN["tensors"][:1] * 65),
        (Program, PLAIN, "tensors", PLAIN["tensors"][:1], []),
        (Program, PLAIN, "stages", PLAIN["stages"][:1] * 32, PLAIN["stages"][:1] * 33),
        (Program, PLAIN, "stages", PLAIN["stages"][:1], []),
        (Program, PLAIN, "controls", [CONTROL] * 16, [CONTROL] * 17),
    ],
)
def test_parts_of_a_program_have_their_limits(
    kind: Any, plain: dict[str, Any], field: str, taken: Any, refused: Any
) -> None:
    found = msgspec.to_builtins(msgspec.convert(plain | {field: taken}, kind))
    assert len(found[field]) == len(taken) if isinstance(taken, list) else found[field] == taken
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain | {field: refused}, kind)


def gdn(
    levels: int, beta: tuple[int, ...] = (1, 1), gamma: tuple[int, ...] = (0,) * 4, zero: int = -3, *t: int
) -> GdnTail:
    return GdnTail(2, levels, zero, list(beta), list(gamma), list(t) or [0] * (2 * (levels - 1)))


@pytest.mark.parametrize(
    ("tail", "says"),
    [
        (gdn(3, (1, 1), (0,) * 4, -3, 0, 1, 5, 5), ""),
        (gdn(3, (1, 1), (0,) * 4, -3, 0, 1, 5, 4), "channel 1 descend"),
        (gdn(3, (1, 1), (0,) * 4, -3, 1, 0, 5, 5), "channel 0 descend"),
        (gdn(3, (1, 1), (0,) * 4, -3, 9, 9, 1, 2), ""),
        (gdn(3, (1, 1, 1)), "wrong lengths"),
        (gdn(3, (1, 1), (0,) * 3), "wrong lengths"),
        (gdn(3, (1, 1), (0,) * 4, -3, 0, 0, 0), "wrong lengths"),
        # den = beta + 128^2 (gamma + gamma) for a zero point of 0, threshold 1: at most 2^63 - 1
        (gdn(2, (1, (1 << 62)), (0, 1 << 30, 0, 1 << 30), 0, 0, 1), ""),
        (gdn(2, (1, (1 << 62)), (0, 0, 0, 0), 0, 0, 1), ""),
        (gdn(2, (1, (1 << 62)), (0, 0, 0, 0), 0, 0, 2), "channel 1 can leave int64"),
        (gdn(2, (1 << 62, 1), (0, 0, 0, 0), 0, -2, 0), "channel 0 can leave int64"),
        (gdn(2, ((1 << 62) - 1, 1), (0, 0, 0, 0), 0, -2, 0), ""),
        # a zero point of -128 lets q reach 255: beta + 255^2 gamma
        (gdn(2, ((1 << 62) - 65_025, 1), (1, 0, 0, 0), -128, 2, 0), "channel 0 can leave"),
        (gdn(2, ((1 << 62) - 65_026, 1), (1, 0, 0, 0), -128, 2, 0), ""),
        (gdn(2, ((1 << 62) - 65_025, 1), (1, 0, 0, 0), 127, 2, 0), "channel 0 can leave"),
        (gdn(2, ((1 << 62) - 65_026, 1), (1, 0, 0, 0), 127, 2, 0), ""),
        (gdn(2, ((1 << 62) - 65_026, 1), (0, 1, 0, 0), 127, 2, 0), ""),
        (gdn(2, ((1 << 62) - 65_025, 1), (0, 1, 0, 0), 127, 2, 0), ""),
        (gdn(2, ((1 << 62) - 65_025, 1), (0, 0, 1, 0), 127, 2, 0), "channel 0 can leave"),
        (TableTail(1, 256, 0, list(range(256))), ""),
        (TableTail(1, 255, 0, list(range(256))), "no centre"),
        (TableTail(2, 256, 0, list(range(256))), "256 entries"),
    ],
)
def test_a_tail_whose_arithmetic_or_tables_do_not_fit_is_refused(
    tail: GdnTail | TableTail, says: str
) -> None:
    if not says:
        check_tail(tail)
    else:
        with pytest.raises(ProgramError, match=says):
            check_tail(tail)


# Which bundles need no first run in a child.

HASH = "ab" * 32


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state" / "known-bundles"


def test_bundles_of_the_zoo_are_known_and_others_are_not(state: Path) -> None:
    assert zoo_names() and all(known.is_known(read_bundle(name).hash_hex) for name in zoo_names())
    assert not known.is_known(HASH) and not known.is_known("") and not known.is_known(HASH + "\n")


@pytest.mark.parametrize("exported", [True, False])
def test_a_bundle_that_was_exported_or_tried_here_is_known(state: Path, exported: bool) -> None:
    known.remember(HASH, exported=exported)
    assert known.is_known(HASH) and not known.is_known("cd" * 32)
    assert ((state / HASH).read_text() == "exported\n") == exported
    assert state.stat().st_mode & 0o777 == 0o700 and [path.name for path in state.iterdir()] == [HASH]


def test_a_try_with_another_runtime_does_not_count(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known.remember(HASH)
    monkeypatch.setattr(known, "_tried", lambda: "tried with another")
    assert not known.is_known(HASH)
    known.remember(HASH, exported=True)
    assert known.is_known(HASH)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_believed(state: Path, mode: int) -> None:
    known.remember(HASH, exported=True)
    state.chmod(mode)
    assert not known.is_known(HASH)
    known.remember("cd" * 32)
    assert [path.name for path in state.iterdir()] == [HASH]
    state.chmod(0o755)
    assert known.is_known(HASH)


def test_a_link_in_place_of_the_folder_is_not_followed(state: Path, tmp_path: Path) -> None:
    known.remember(HASH, exported=True)
    state.rename(tmp_path / "elsewhere")
    state.symlink_to(tmp_path / "elsewhere")
    assert not known.is_known(HASH)


def test_names_that_are_no_hashes_are_not_remembered(state: Path) -> None:
    for name in ("../x", "AB" * 32, "ab" * 31, ""):
        known.remember(name, exported=True)
    assert not state.exists()


def test_the_folder_of_known_bundles_is_the_users_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEMFLASH_STATE_DIR", "/s")
    assert known.folder() == Path("/s/known-bundles")
    monkeypatch.delenv("SEMFLASH_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert known.folder() == Path("/x/semflash/known-bundles")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert known.folder() == Path("/h/.local/state/semflash/known-bundles")
