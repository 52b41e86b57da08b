"""A file in the current folder is not taken for a module by the Python processes that semflash starts."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semflash.errors import BuildError, TrainingError
from semflash.firmware import resources
from semflash.firmware.building import platformio
from semflash.runtime import tflm_arena

ROOT = Path(__file__).resolve().parents[2]
STANDIN_PIO = ROOT / "tests" / "fakes" / "standin_pio"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, in which modules with the names of packages wait to be run."""
    folder = tmp_path / "trap"
    folder.mkdir()
    for name in ("platformio", "semflash", "semflash_codegen", "numpy", "tflite_micro"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'sprung')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(folder)
    yield folder
    assert not (folder / "sprung").exists(), (folder / "sprung").read_text()


def test_platformio_is_the_package(trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, project = tmp_path / "desk", tmp_path / "project"
    desk.mkdir()
    project.mkdir()
    monkeypatch.setenv("STANDIN_DESK", str(desk))
    monkeypatch.setenv("SEMFLASH_PLATFORMIO_DIR", str(tmp_path / "core"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STANDIN_PIO), *filter(None, sys.path)]))
    with pytest.raises(BuildError) as caught:
        platformio.run(project, "nucleo_f446re")
    assert caught.value.value == "the stand-in only uploads", "the stand-in for the package was not run"
    assert "run -d" in (desk / "calls").read_text()


def test_the_converter_of_onnx_is_our_module(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in a folder of its own, in which the converter leaves files."""
    convert = pytest.importorskip("semflash.importing.onnx.convert")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    with pytest.raises(TrainingError) as caught:
        convert._run(trap, 60.0)
    notes = " ".join(getattr(caught.value, "__notes__", ()))
    assert "job.json" in f"{caught.value} {notes}", "the child did not come as far as its job"


def test_the_measuring_of_an_arena_runs_our_modules(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tflite_micro")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    model = ROOT / "tests" / "codegen" / "models" / "conv_valid.tflite"
    assert tflm_arena.measure_arena(model.read_bytes()) > 0


def _module_starts(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lists in a file that start a module: [sys.executable, ..., "-m", ...]."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
            words = [ast.unparse(each).strip("'") for each in node.elts[1:]]
            if "-m" in words:
                yield node.lineno, words


def test_every_module_that_is_started_is_started_with_a_safe_path() -> None:
    found = [
        (f"{path.name}:{line}", words)
        for path in sorted((ROOT / "host").rglob("*.py"))
        for line, words in _module_starts(path)
    ]
    assert len(found) >= 4
    assert [where for where, words in found if words[0] != "-P"] == []


def test_the_emulator_is_started_by_platformio_with_a_safe_path() -> None:
    lines = (resources.root() / "platformio.ini").read_text(encoding="utf-8").splitlines()
    starts = [line for line in lines if "$PYTHONEXE" in line]
    assert starts and all('"$PYTHONEXE" -P -m ' in line for line in starts)
