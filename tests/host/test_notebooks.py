"""The notebooks of docs/ run, one behind the other of their cells, and say what they are kept with."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from semflash.data.registry import DEBIAN_FASHION_MNIST

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NAMES = ("evaluate", "train")
ACCURACY = re.compile(r"(?<=accuracy )[\d.]+(?=%)")
RUN = runpy.run_path(str(FOLDER / "run.py"))["run"]


def notebook(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def printed(book: dict[str, Any]) -> list[str]:
    return ["".join(one.get("text", [])) for cell in book["cells"] for one in cell.get("outputs", [])]


def pictures(book: dict[str, Any]) -> int:
    return sum("data" in one for cell in book["cells"] for one in cell.get("outputs", []))


def test_these_are_all_notebooks_and_each_is_kept_with_its_outputs() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
    for name in NAMES:
        book = notebook(name)
        assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
        cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
        assert any(printed(book)) and pictures(book) == 1


def test_evaluate_says_what_it_is_kept_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    if not DEBIAN_FASHION_MNIST.is_dir():
        pytest.skip("Fashion-MNIST is not installed")
    monkeypatch.chdir(tmp_path)
    kept, now = notebook("evaluate"), notebook("evaluate")
    RUN(now)
    pairs = [tuple(map(ACCURACY.findall, both)) for both in zip(printed(now), printed(kept), strict=True)]
    assert [ACCURACY.sub("", text) for text in printed(now)] == [
        ACCURACY.sub("", text) for text in printed(kept)
    ]
    assert sum(len(here) for here, _ in pairs) == 6
    for here, there in pairs:  # floats of another computer's LiteRT may turn an image or two of 1,000
        assert all(abs(float(one) - float(two)) <= 0.3 for one, two in zip(here, there, strict=True))
    assert pictures(now) == 1


@pytest.mark.timeout(900)  # two trainings of seconds, each with TensorFlow's start of a stage
def test_train_makes_a_codec_that_has_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    now = notebook("train")
    RUN(now)
    accuracies = [float(one) for text in printed(now) for one in ACCURACY.findall(text)]
    assert len(accuracies) == 3 and accuracies[0] > 60  # a third by guessing
    assert (tmp_path / "stripes.semcodec" / "codec.json").is_file()


def test_a_cell_that_fails_ends_the_run() -> None:
    book = {"cells": [{"cell_type": "code", "source": ["1 / 0"]}, {"cell_type": "markdown", "source": []}]}
    with pytest.raises(ZeroDivisionError):
        RUN(book)


def test_a_figure_that_somebody_left_open_is_no_output() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.figure()
    cell = {"cell_type": "code", "source": ["import matplotlib.pyplot"]}
    RUN({"cells": [cell]})
    assert cell["outputs"] == []
