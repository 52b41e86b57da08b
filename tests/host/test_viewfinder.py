"""What the board sees in a terminal, and keys that store it: the picture that is shown, once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("rich")

from PIL import Image
from rich.console import Console

from semflash.data.own.album import Album
from semflash.monitor.collecting import Collected, collect
from semflash.monitor.live import viewfinder
from semflash.monitor.live.viewfinder import Viewfinder


def flat(value: int) -> np.ndarray:
    return np.full((8, 8, 1), value, np.uint8)


class Keys:
    """A keyboard whose presses are due after so many looks at it."""

    def __init__(self, presses: dict[int, list[str]]) -> None:
        self.presses, self.looks = presses, 0

    def read(self) -> list[str]:
        self.looks += 1
        return self.presses.pop(self.looks, [])

    def suspend_if_asked(self, leave: object, come_back: object) -> None:
        """Nobody presses Ctrl-Z."""


class Camera:
    """Pictures 1, 2, 3 ..., flat."""

    def __init__(self) -> None:
        self.taken = 0

    def picture(self) -> bytes:
        self.taken += 1
        return (flat(self.taken) ^ 0x80).tobytes()


def stored(folder: Path) -> list[int]:
    return [int(np.asarray(Image.open(path))[0, 0]) for path in sorted(folder.glob("*.png"))]


def finder_with(tmp_path: Path, presses: dict[int, list[str]]) -> Viewfinder:
    return Viewfinder(Album(tmp_path, {}), ["cat", "dog"], Keys(presses))  # type: ignore[arg-type]


def run(
    tmp_path: Path, presses: dict[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Collected, Camera]:
    """The keyboard is looked at before each picture and when it came: looks 2 k - 1 and 2 k."""
    monkeypatch.setattr(viewfinder, "_NAP_S", 0.0)
    finder, found, camera = finder_with(tmp_path, presses), Collected(), Camera()
    collect(camera, (8, 8, 1), finder, found)
    return found, camera


def test_a_key_stores_the_picture_that_was_shown_when_it_was_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = run(tmp_path, {3: ["1"], 6: ["2"], 9: ["q"]}, monkeypatch)
    assert stored(tmp_path / "cat") == [1]  # before picture 2 is asked for
    assert stored(tmp_path / "dog") == [2]  # while picture 3 came: 2 was still shown
    assert found.stored == {"cat": 1, "dog": 1}


def test_one_picture_is_stored_once_however_often_the_key_is_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = run(tmp_path, {3: ["1", "1", "2"], 5: ["q"]}, monkeypatch)
    assert found.stored == {"cat": 1}


def test_a_held_picture_waits_for_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, camera = run(tmp_path, {5: [" "], 40: ["2"], 43: ["q"]}, monkeypatch)
    assert stored(tmp_path / "dog") == [2]
    assert camera.taken < 5, "no picture is taken while one is held"


def test_space_holds_the_next_picture_where_none_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, camera = run(tmp_path, {3: ["1", " "], 60: ["2"], 63: ["q"]}, monkeypatch)
    assert stored(tmp_path / "cat") == [1] and stored(tmp_path / "dog") == [2]
    assert camera.taken < 5


def test_keys_before_the_first_picture_and_of_no_label_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = run(tmp_path, {1: ["1", " "], 2: ["2"], 3: ["3", "9", "x", "0"], 5: ["q"]}, monkeypatch)
    assert found.stored == {} and not any(tmp_path.iterdir())


@pytest.mark.parametrize(("width", "height"), [(100, 30), (40, 12), (20, 6)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_picture_and_counts_fit_the_terminal(
    width: int, height: int, ascii_only: bool, tmp_path: Path
) -> None:
    finder, found = finder_with(tmp_path, {}), Collected(spoilt=2)
    finder.see(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), found)
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    for line in finder.lines(found, width, height, ascii_only=ascii_only):
        console.print(line, markup=False, highlight=False)
    text = console.export_text().splitlines()
    assert len(text) <= height and max(map(len, text)) <= width
    assert "1 cat 0  2 dog 0"[: width - 1] in text
    assert any(line.startswith("0 stored, 2 did not") for line in text)
