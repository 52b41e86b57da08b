"""A bundle is used with the data set it was trained on: another, or a changed one, is never taken for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from PIL import Image

from fakes.box_folder import coco_folder
from fakes.idx_files import write_blocks
from semflash.bundle import Bundle, read_bundle
from semflash.bundle.writer import write_bundle
from semflash.cli.main import main
from semflash.data.registry import load_dataset
from semflash.data.source import DataSource, check_known, listing_sha256, place, source_of, written
from semflash.edge.bundle_data import bundle_dataset, data_name
from semflash.errors import DatasetError

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CLASSES = [f"class {index}" for index in range(10)]


def own_folder(root: Path, classes: list[str] = CLASSES, side: int = 28) -> Path:
    """A grey image folder of ten classes, three training and two test images each."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (side, side), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


def trained_on(out: Path, recipe: dict[str, Any], classes: list[str] = CLASSES) -> Bundle:
    """The tiny bundle as if it had been trained on something else."""
    tiny = read_bundle(TINY)
    contract = msgspec.structs.replace(tiny.written, name="own", class_names=classes)
    record = msgspec.structs.replace(tiny.record, recipe=recipe)
    names = [path.name for path in TINY.iterdir() if path.name not in ("codec.json", "history.json")]
    files = {name: (TINY / name).read_bytes() for name in names}
    return write_bundle(out, contract, record, files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return own_folder(tmp_path / "photos")


@pytest.fixture
def own(tmp_path: Path, folder: Path) -> Bundle:
    """A bundle that recorded the folder."""
    source = load_dataset(folder, image_size=(28, 28)).source
    assert source is not None
    return trained_on(tmp_path / "own.semcodec", {"dataset": str(folder), "data": source.plain()})


def test_the_data_set_is_the_recorded_folder_wherever_one_stands(
    own: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir("/")
    data = bundle_dataset(own)
    assert (data.name, list(data.class_names), len(data.test)) == ("photos", CLASSES, 20)
    assert data_name(own, None) == "photos" and data_name(own, "mnist") == "mnist"


def test_a_folder_at_home_is_recorded_without_the_name_of_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "alice"))
    assert written(tmp_path / "alice/photos") == "~/photos" and place("~/photos") == tmp_path / "alice/photos"
    assert written(tmp_path / "bob") == str(tmp_path / "bob") and place("~bob/x") == Path("~bob/x")
    monkeypatch.chdir(tmp_path)
    assert written(Path("bob")) == str(tmp_path / "bob")


@pytest.mark.parametrize("verb", ["evaluate", "monitor", "run"])
def test_verbs_use_the_recorded_folder_and_say_when_it_is_gone(
    verb: str,
    own: Bundle,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    flags = ["--board", "native"] if verb != "evaluate" else ["--ber", "0"]
    command = [verb, str(own.path), *flags, "--json"]
    if verb == "monitor":
        assert main(["build", str(own.path), "--board", "native"]) == 0
        capsys.readouterr()
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["received" if verb != "evaluate" else "images"] == 20
    folder.rename(tmp_path / "moved")
    assert main(command) == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert said["what"] == "the data set of the training is not here any more"
    assert said["value"] == str(folder) and "--dataset FOLDER" in said["remedy"]
    assert main([*command, "--dataset", str(tmp_path / "moved")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["received" if verb != "evaluate" else "images"] == 20


def test_a_report_uses_the_recorded_folder(
    own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(own.path), "--ber", "0", "--compare", "--json"]) == 0
    assert '"photos"' in capsys.readouterr().out
    shutil.rmtree(tmp_path / "photos")
    assert main(["evaluate", str(own.path), "--compare", "--json"]) == 1
    assert "not here any more" in capsys.readouterr().out


def add_an_image(folder: Path) -> None:
    shutil.copy(folder / "test/class 0/0.png", folder / "test/class 0/9.png")


def change_an_image(folder: Path) -> None:
    Image.new("L", (5, 5)).save(folder / "train/class 3/1.png")


def rename_an_image(folder: Path) -> None:
    (folder / "train/class 3/1.png").rename(folder / "train/class 3/8.png")


@pytest.mark.parametrize("change", [add_an_image, change_an_image, rename_an_image])
def test_a_folder_that_changed_is_not_taken_for_the_one_of_the_training(
    own: Bundle, folder: Path, change: Any
):
    change(folder)
    with pytest.raises(DatasetError, match="files came, went or changed") as caught:
        bundle_dataset(own)
    assert f"--dataset {folder}" in caught.value.remedy
    assert len(bundle_dataset(own, str(folder)).class_names) == 10


def test_a_stranger_cannot_have_images_opened_by_naming_a_path(
    own: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """A forged record names a folder, but cannot know the digest of its files: not one is opened."""
    data = own.record.recipe["data"] | {"sha256": 64 * "0"}
    forged = trained_on(own.path.with_name("forged.semcodec"), {"data": data})
    monkeypatch.setattr("semflash.data.image_folder.opened", lambda path: pytest.fail(f"opened {path}"))
    with pytest.raises(DatasetError, match="files came, went or changed"):
        bundle_dataset(forged)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({}, "does not say what it was trained on"),
        ({"dataset": ""}, "does not say what it was trained on"),
        ({"dataset": 7, "data": 7}, "does not say what it was trained on"),
        ({"data": {"kind": "named", "name": "fashion"}}, "does not say what it was trained on"),
        ({"data": {"kind": "folder", "name": "/etc", "sha256": "short"}}, "does not say what"),
        ({"dataset": "/etc"}, "only a path"),
        ({"dataset": "../\x1b[2J"}, "only a path"),
    ],
    ids=str,
)
def test_without_a_usable_record_there_is_an_error_and_no_other_data_set(
    recipe: dict[str, Any], words: str, tmp_path: Path
):
    bundle = trained_on(tmp_path / "own.semcodec", recipe)
    with pytest.raises(DatasetError, match=words) as caught:
        bundle_dataset(bundle)
    assert "--dataset" in caught.value.remedy and "\x1b" not in str(caught.value)


def test_bundles_that_recorded_a_name_still_find_it(tmp_path: Path):
    blocks = write_blocks(tmp_path / "set", train=40, test=30)
    assert len(bundle_dataset(read_bundle(TINY), data_dir=blocks).test) == 30
    assert read_bundle("mnist-12").record.recipe["dataset"] == data_name(read_bundle("mnist-12"), None)


def test_a_named_data_set_must_have_the_bundles_classes_and_images(own: Bundle, tmp_path: Path):
    blocks = write_blocks(tmp_path / "set", train=40, test=30)
    others = [*CLASSES[:9], "another"]
    with pytest.raises(DatasetError, match=r"knows 10 classes: class 0, .*; the data set has others"):
        bundle_dataset(own, str(own_folder(tmp_path / "others", others)))
    with pytest.raises(DatasetError, match="the data set has others"):  # ten classes, 28x28: it looked right
        bundle_dataset(own, "fashion-mnist", data_dir=blocks)
    colour = own_folder(tmp_path / "colour")
    for path in colour.rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(DatasetError, match=r"takes images of 28x28x1.*colour: 28x28x3"):
        bundle_dataset(own, str(colour))
    assert bundle_dataset(own, str(own_folder(tmp_path / "large", side=40))).image_shape == (28, 28, 1)


def test_classes_are_found_by_name_whatever_their_order_and_number(tmp_path: Path, folder: Path):
    """The bundle's order is not that of the folders' names, and one class has no folder."""
    shuffled = [*CLASSES[5:], *CLASSES[:5]]
    bundle = trained_on(tmp_path / "own.semcodec", {}, shuffled)
    before, after = load_dataset(folder, image_size=(28, 28)), bundle_dataset(bundle, str(folder))
    assert list(after.class_names) == shuffled and after.notes == ()
    names = [CLASSES[label] for label in before.test.labels]
    assert [shuffled[label] for label in after.test.labels] == names
    shutil.rmtree(folder / "test/class 3")
    shutil.rmtree(folder / "train/class 3")
    fewer = bundle_dataset(bundle, str(folder))
    assert fewer.notes == ("no images of class 3",) and len(fewer.test) == 18
    assert {shuffled[label] for label in fewer.test.labels} == set(CLASSES) - {"class 3"}


def test_classes_of_boxes_are_found_by_name(tmp_path: Path):
    """``stamps-detect`` has animal, fruit, flower, building, vehicle, in this order."""
    root = coco_folder(tmp_path / "shapes", names=("vehicle", "flower"))
    before = load_dataset(root, image_size=(64, 64))
    after = bundle_dataset(read_bundle("stamps-detect"), str(root))
    assert before.class_names == ("flower", "vehicle") and len(after.class_names) == 5
    there = before.test.labels[..., 4] >= 0
    assert (after.test.labels[there, 4] == np.array([2, 4])[before.test.labels[there, 4].astype(int)]).all()
    assert (after.test.labels[~there] == before.test.labels[~there]).all()
    with pytest.raises(DatasetError, match="the data set has no boxes"):
        bundle_dataset(read_bundle("stamps-detect"), str(own_folder(tmp_path / "plain")))


def test_what_the_training_left_out_is_left_out_again(tmp_path: Path, folder: Path):
    (folder / "test/class 1/0.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="cannot read an image"):
        load_dataset(folder, image_size=(28, 28))
    source = load_dataset(folder, image_size=(28, 28), skip_bad=True).source
    assert source is not None and source.skip_bad and source.files == 50
    bundle = trained_on(tmp_path / "own.semcodec", {"data": source.plain()})
    assert len(bundle_dataset(bundle).test) == 19


def test_a_source_survives_json_and_nothing_else_is_taken_for_one():
    source = DataSource("folder", "~/x", 3, 64 * "a", True)
    assert source_of(json.loads(json.dumps(source.plain()))) == source
    for other in (None, 3, [], {}, {"kind": "x", "name": "y"}, {"kind": "named", "name": "y", "more": 1}):
        assert source_of(other) is None


def test_a_listing_counts_names_and_sizes(tmp_path: Path):
    """SHA-256 written down by hand: path, zero byte, size, newline, in order of the paths."""
    import hashlib

    (tmp_path / "b").mkdir()
    (tmp_path / "b/2").write_bytes(b"xy")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "c").symlink_to("nowhere")
    expected = hashlib.sha256(b"a\x000\nb/2\x002\nc\x00-1\n").hexdigest()
    paths = [tmp_path / "c", tmp_path / "b/2", tmp_path / "a"]
    assert listing_sha256(tmp_path, paths) == (3, expected)


def test_another_layout_of_the_same_files_is_another_data_set():
    known = DataSource("folder", "x", 1, 64 * "a")
    check_known(known, known)
    check_known(known, None)
    with pytest.raises(DatasetError, match="laid out as coco, then as folder"):
        check_known(DataSource("coco", "x", 1, 64 * "a"), known)
