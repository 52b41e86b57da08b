"""`semflash tflm setup`: a tree from a checkout with TFLM's own script, or a word on what to bring."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from semflash.cli.main import main
from semflash.firmware import doctor
from semflash.firmware.building import tflm_setup, tflm_tree

#: Stands in for TFLM's script: writes the files of a tree, and what it was called with.
SCRIPT = """\
import os, sys
from pathlib import Path
assert Path("tensorflow/lite/micro").is_dir(), "it is run in the checkout"
(options, out) = sys.argv[1:]
print("made by the script")
if os.environ.get("BREAK_TFLM"):
    sys.exit("make: *** no rule")
for name in {needed}:
    path = Path(out) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(options)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, and no tree of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(tflm_tree.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    script = tmp_path / "tflite-micro" / tflm_setup.SCRIPT
    script.parent.mkdir(parents=True)
    needed = tflm_tree._NEEDED
    script.write_text(SCRIPT.replace("{needed}", repr(needed)))
    return tmp_path / "tflite-micro"


def test_a_checkout_becomes_a_tree_that_builds_and_doctor_find(
    checkout: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor._tflm().mend == "semflash tflm setup"
    assert main(["tflm", "setup", "--source", str(checkout), "--json"]) == 0
    tree = Path(json.loads(capsys.readouterr().out)["tree"])
    assert tree == cache / "semflash" / "tflm"
    assert tflm_tree.locate(None).root == tree.resolve()
    assert doctor._tflm().state == "ok"
    given = (tree / "tensorflow/lite/micro/micro_interpreter.cc").read_text()
    assert given == f"--makefile_options={tflm_setup.MAKE_OPTIONS}"
    assert [path.name for path in tree.parent.iterdir()] == ["tflm"], "nothing is left beside it"
    assert main(["tflm", "setup", "--source", str(checkout)]) == 0  # a tree may be made again
    assert f"tree     {tree}" in capsys.readouterr().out


def test_a_named_tree_comes_before_the_one_that_was_made(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["tflm", "setup", "--source", str(checkout)]) == 0
    monkeypatch.setenv(tflm_tree.VARIABLE, str(tmp_path / "other"))
    assert tflm_tree.named(None) == tmp_path / "other"
    assert tflm_tree.named(tmp_path / "mine") == tmp_path / "mine"


def test_a_script_that_fails_leaves_nothing_and_says_why(
    checkout: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BREAK_TFLM", "1")
    assert main(["tflm", "setup", "--source", str(checkout)]) == 1
    err = capsys.readouterr().err
    assert "no rule" in err and "unzip" in err
    assert list((cache / "semflash").iterdir()) == []


def test_something_else_is_neither_taken_for_a_checkout_nor_replaced(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tflm", "setup", "--source", str(tmp_path)]) == 2
    assert "no checkout of tflite-micro" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "precious").write_text("x")
    assert main(["tflm", "setup", "--source", str(checkout), "--out", str(tmp_path / "own")]) == 1
    assert (tmp_path / "own" / "precious").read_text() == "x"


@pytest.mark.parametrize("what", ["no network", "another commit"])
def test_what_cannot_be_fetched_is_said_with_what_to_bring(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    refused = (
        '[ "$1" = fetch ] && { echo "could not resolve host"; exit 128; }\n' if what == "no network" else ""
    )
    git.write_text(f'#!/bin/sh\n{refused}[ "$1" = rev-parse ] && echo 1234\nexit 0\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}{os.pathsep}{os.environ['PATH']}")
    assert main(["tflm", "setup"]) == 1
    err = capsys.readouterr().err
    assert ("could not resolve host" if what == "no network" else "(got: 1234)") in err
    assert f"checkout {tflm_setup.COMMIT}" in err and "--source" in err


def test_without_git_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["tflm", "setup"]) == 1
    assert "apt-get install git" in capsys.readouterr().err
