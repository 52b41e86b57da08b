"""Pictures made by a script, then only the commands that `semflash new` prints: labels from a board."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("tensorflow")

from fakes.image_folders import folder_of_images
from semflash.bundle import read_bundle
from semflash.cli.main import main


def printed_commands(text: str) -> list[list[str]]:
    """The commands below ``next``."""
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("next "))
    return [shlex.split(line.removeprefix("next")) for line in lines[first:]]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_pictures_to_labels_by_the_printed_commands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = folder_of_images(tmp_path / "made", classes=4, train=60, test=1, side=36) / "train"
    monkeypatch.chdir(tmp_path)
    flags = ["--yes", "--quick", "--board", "native"]
    assert main(["new", "mine", "--data", str(photos), *flags]) == 0
    commands = printed_commands(capsys.readouterr().out)
    assert commands.pop(0) == ["cd", "mine"]
    monkeypatch.chdir(tmp_path / "mine" / "data" / "train")  # or any folder below
    assert [command[:2] for command in commands] == [
        ["semflash", verb] for verb in ("train", "export", "evaluate", "run")
    ]
    shown = {}
    for _, verb, *rest in commands:
        assert main([verb, *rest]) == 0, verb
        shown[verb] = capsys.readouterr()
    progress = shown["train"].err
    assert "loading TensorFlow" in progress and "bytes per image" in progress
    assert "the codec begins with" in progress and "(chance 0." in progress
    assert "about" in progress and "steps" in progress
    assert "semflash export" in shown["train"].out.splitlines()[-1]
    assert "next: semflash evaluate" in shown["export"].out
    accuracy = re.search(r"accuracy\s+([0-9.]+)%", shown["run"].out)
    assert accuracy is not None and float(accuracy[1]) > 50
    bundle = read_bundle(tmp_path / "mine" / "mine.semcodec")
    assert list(bundle.contract.class_names) == ["class 0", "class 1", "class 2", "class 3"]
    assert (tmp_path / "mine" / "build" / "mine-native").is_dir()
    assert not (tmp_path / "mine" / "data" / "train" / "build").exists()
