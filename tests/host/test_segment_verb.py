"""``semflash segment``, weights by a task network, and a person's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

from fakes.segments import masked_data
from semflash.cli.main import main
from semflash.errors import SegmentError
from semflash.segments.importance import block_importance, segment_weights
from semflash.segments.store import SegmentStore
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.segmenting import segment as segmenting
from semflash.training.segmenting.weigh import log_probabilities, weigh_by_file, weigh_by_task
from semflash.training.task import load_task, train_task_network

DATA = masked_data()
QUIET = Progress(quiet=True)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentStore:
    """Of the masks of DATA, made by the verb."""
    monkeypatch.setattr(segmenting, "load_dataset", lambda *_, **__: DATA)
    folder = tmp_path / "store"
    assert main(["segment", "masked", "--with", "exact", "--out", str(folder), "--quiet"]) == 0
    return SegmentStore.open(folder, DATA)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task network for DATA, trained for a moment."""
    folder = tmp_path_factory.mktemp("task") / "run"
    recipe = TaskRecipe("masked", epochs=1, batch=8, head_channels=4, widths=(4, 4))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("semflash.training.task.load_dataset", lambda *_, **__: DATA)
        train_task_network(recipe, folder, progress=QUIET)
    return folder


def test_the_verb_says_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(segmenting, "load_dataset", lambda *_, **__: DATA)
    command = ["segment", "masked", "--with", "exact", "--out", str(tmp_path / "s")]
    assert main([*command, "--limit", "10", "--splits", "train,test", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["segmenter"] == "exact" and found["classical"] and len(found["digest"]) == 64
    assert found["splits"] == {
        "train": {"images": 10, "mean_segments": 3.0, "most_segments": 3},
        "test": {"images": 6, "mean_segments": 3.0, "most_segments": 3},
    }
    assert main(command) == 0
    assert "train: 40 images, 3.0 segments each" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--with", "yolo"], "no such segmenter"),
        (["--with", "sam"], "sam takes 2 ONNX files"),
        (["--with", "sam", "--encoder", "a.onnx"], "sam takes 2 ONNX files"),
        (["--with", "saliency", "--encoder", "a.onnx"], "--encoder goes with --with sam"),
        (["--network", "a.onnx"], "--network goes with --with saliency"),
        (["--splits", "train,all"], "--splits are some of"),
        (["--limit", "0"], "--limit is a whole number"),
        (["--large", "0"], "--large is a share"),
        (["--large", "nan"], "--large is a share"),
    ],
)
def test_bad_flags_are_told_before_anything_is_loaded(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "stamps-focus", *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("lazy", [False, True])
def test_a_folder_of_images_is_divided(
    tmp_path: Path, lazy: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    from PIL import Image

    monkeypatch.setattr("semflash.data.lazy.IN_MEMORY_MAX_BYTES", 0 if lazy else 1 << 30)
    for number in range(16):
        path = tmp_path / "photos" / ("train" if number < 12 else "test") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((24, 40), 40, np.uint8)
        pixels[:, 20 + number % 4 :] = 210
        Image.fromarray(pixels).save(path)
    command = ["segment", str(tmp_path / "photos"), "--with", "felzenszwalb", "--image-size", "20"]
    assert main([*command, "--out", str(tmp_path / "s"), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["classical"] and "felzenszwalb is a classical method" in said.err
    assert sum(one["images"] for one in found["splits"].values()) == 16
    assert all(one["mean_segments"] >= 2 for one in found["splits"].values())
    assert main([*command, "--out", str(tmp_path / "s"), "--quiet"]) == 0
    (tmp_path / "photos" / "train" / "a" / "0.png").unlink()
    assert main([*command, "--out", str(tmp_path / "s"), "--quiet"]) == 1
    assert "made of other images" in capsys.readouterr().err


def test_without_a_data_set_it_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment"]) == 2 and "which data set?" in capsys.readouterr().err


def test_a_task_network_weighs_every_segment_once(store: SegmentStore, task: Path, tmp_path: Path) -> None:
    folder = str(store.folder)
    command = ["segment", "masked", "--with", "exact", "--out", folder, "--task", str(task), "--quiet"]
    assert main([*command, "--large", "1"]) == 0
    weights = segment_weights(store, "train", "task")
    assert weights.shape == (40, 64) and not weights[:, 3:].any()
    most = weights.max(1)
    assert set(np.round(most, 3)) <= {0.0, 1.0} and most.any()
    path = store.folder / "importance" / "task" / "train-weights.f16"
    before = path.stat().st_mtime_ns
    assert main([*command, "--large", "1"]) == 0
    assert path.stat().st_mtime_ns == before
    assert main([*command, "--large", "0.01"]) == 0  # another rule: weighed anew, and nothing is small enough
    assert not segment_weights(store, "train", "task").any()


def test_fewer_images_than_the_store_has_can_be_weighed(store: SegmentStore, task: Path) -> None:
    weigh_by_task(store, DATA, task, progress=QUIET, images={"train": 7, "test": 6})
    assert [len(segment_weights(store, split, "task")) for split in ("train", "test")] == [7, 6]
    with pytest.raises(SegmentError, match="not finished"):
        segment_weights(store, "val", "task")
    assert block_importance(store, "train", "task").shape == (7, 2, 2)


def test_what_a_segment_alone_and_the_rest_without_it_give_is_kept(store: SegmentStore, task: Path) -> None:
    from semflash.segments.evidence import only, without

    weigh_by_task(store, DATA, task, progress=QUIET)
    ask, image, label = log_probabilities(load_task(task)), DATA.train.images[7], DATA.train.labels[7]
    inside = DATA.train.masks[7] == 2
    shown = [image, without(image, inside), only(image, inside), only(image, inside & False)]
    answers = ask(np.stack(shown))[:, label].clip(-12)
    folder = store.folder / "importance" / "task"
    drop, alone = (
        np.fromfile(folder / f"train-{name}.f16", "<f2").reshape(40, 64) for name in ("drop", "alone")
    )
    assert drop[7, 2] == pytest.approx(answers[0] - answers[1], abs=2e-3)
    assert alone[7, 2] == pytest.approx(answers[2] - answers[3], abs=2e-3)
    assert np.isnan(drop[:, 3:]).all()


def test_a_task_network_of_other_classes_is_refused(store: SegmentStore, task: Path, tmp_path: Path) -> None:
    info = json.loads((task / "run.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for path in task.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "run.json").write_text(json.dumps(info | {"class_names": ["a", "b", "x"]}))
    with pytest.raises(SegmentError, match="other images or classes"):
        weigh_by_task(store, DATA, other, progress=QUIET)


def person(tmp_path: Path, value: Any) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_person_s_weights_are_taken(store: SegmentStore, tmp_path: Path) -> None:
    path = person(tmp_path, {"train": {"0": [1], "1": {"0": 0.5, "2": 1}, "2": []}, "test": {"0": [2]}})
    weigh_by_file(store, path, QUIET)
    weights = segment_weights(store, "train", "person")
    assert weights.shape == (3, 64) and weights[0, :3].tolist() == [0, 1, 0]
    assert weights[1, :3].tolist() == [0.5, 0, 1] and not weights[2].any()
    expected = (DATA.test.masks[0] == 2).reshape(2, 8, 2, 8).mean((1, 3))
    assert np.allclose(block_importance(store, "test", "person")[0], expected)
    weigh_by_file(store, person(tmp_path, {"train": {"0": [2]}}), QUIET)  # another file
    assert segment_weights(store, "train", "person")[0, :3].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[" * 100_000,
        "[]",
        "{}",
        {"all": {"0": [1]}},
        {"train": {}},
        {"train": [1]},
        {"train": {"1": [1]}},
        {"train": {"0": [1], "00": [1]}},
        {"train": {"-1": [1]}},
        {"train": {str(number): [1] for number in range(41)}},
        {"train": {"0": [3]}},
        {"train": {"0": [True]}},
        {"train": {"0": 1}},
        {"train": {"0": {"1": 1.5}}},
        {"train": {"0": {"1": "1"}}},
        {"train": {"0": {"x": 1}}},
        '{"train": {"0": {"1": NaN}}}',
    ],
)
def test_a_person_s_file_that_cannot_be_meant_is_refused(
    store: SegmentStore, tmp_path: Path, value: object
) -> None:
    with pytest.raises(SegmentError):
        weigh_by_file(store, person(tmp_path, value), QUIET)
    assert not (store.folder / "importance").exists()
