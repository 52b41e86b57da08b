"""The way of one's own image folder, from training to labels: one data set, nothing wrong in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("tensorflow")

from fakes.image_folders import folder_of_images
from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.training.run_dir import RunInfo

#: Nothing is learnt at this rate.
STILL = ["--task-set", "peak=1e-9", "--set", "peak=1e-9", "--set", "task_peak=1e-9"]
SMALL = [
    *("--task-set", "batch=16", "--task-set", "epochs=1"),
    *("--set", "batch=16", "--set", "autoencoder_epochs=0"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder ``photos`` with four classes and a bad file."""
    place = tmp_path
    folder_of_images(place / "photos", classes=4, train=20, test=6, side=32)
    (place / "photos/train/class 1/broken.jpg").write_bytes(b"no image")
    return place


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@pytest.mark.timeout(900)  # three short trainings, each with TensorFlow's start of a stage
def test_from_training_to_labels_with_ones_own_images(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(place)
    command = ["train", "tiny", "--dataset", "./photos", "--out", "run"]
    assert main(command) == 1
    assert "class 1/broken.jpg: none of JPEG" in (text := said(capsys)) and "--skip-bad" in text
    assert main([*command, "--skip-bad", "--task-set", "batch=100"]) == 2
    assert "a batch of 100 images is more than the 72 to train on" in said(capsys)

    assert main([*command, "--skip-bad", *SMALL, *STILL]) == 0
    text = said(capsys)
    assert "data set photos: 72 + 8 + 24 images (training + validation + test) of 32x32x3, 4 classes" in text
    assert "class 1 18 + 2 + 6" in text and "left out, 1 of 105 images cannot be read" in text
    assert "warning: the task network has learnt nothing" in text
    assert "warning: the codec has learnt nothing" in text and "on 8 validation images" in text
    info = RunInfo.load(place / "run/codec")
    assert (info.data["kind"], info.data["name"], info.data["skip_bad"]) == (
        "folder",
        str(place / "photos"),
        True,
    )

    monkeypatch.chdir("/")  # paths of the training hold from anywhere
    out = str(place / "own.semcodec")
    assert main(["export", str(place / "run"), out]) == 1
    assert "the codec has learnt nothing" in (text := said(capsys)) and "--force" in text
    (place / "photos").rename(place / "moved")
    assert main(["export", str(place / "run"), out, "--force"]) == 1
    assert "the data set of the training is not here any more" in said(capsys)
    assert main(["export", str(place / "run"), out, "--force", "--dataset", str(place / "moved")]) == 0
    assert "exported all the same (--force)" in said(capsys)
    (place / "moved").rename(place / "photos")

    recipe = read_bundle(out).record.recipe
    assert "no better than guessing" in recipe["forced"]
    assert recipe["data"]["files"] == 105 and recipe["data"]["skip_bad"] is True
    assert main(["evaluate", out, "--ber", "0", "--json"]) == 1  # it was moved back since
    assert "not here any more" in capsys.readouterr().out
    (place / "photos").rename(place / "moved")
    assert main(["evaluate", out, "--ber", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["images"]) == ("moved", 24)
    (place / "moved").rename(place / "photos")

    # ``tiny`` alone is a recipe of Fashion-MNIST: with --task it is not taken for that.
    task = str(place / "run/task")
    out = ["--out", str(place / "again"), "--set", "batch=16", "--set", "autoencoder_epochs=0"]
    assert main(["train", "tiny", "--task", task, *out, "--quiet", "--json"]) == 0
    info = RunInfo.load(place / "again/codec")
    assert info.dataset == str(place / "photos") and info.recipe["skip_bad"] is True
    capsys.readouterr()

    run = json.loads((place / "run/task/run.json").read_text())
    nameless = place / "nameless"
    nameless.mkdir()
    for path in (place / "run/task").iterdir():
        (nameless / path.name).write_bytes(path.read_bytes())
    (nameless / "run.json").write_text(json.dumps(run | {"dataset": "", "data": {}}))
    assert main(["train", "tiny", "--task", str(nameless), *out]) == 2
    assert "imported without a data set, and none is named" in said(capsys)
