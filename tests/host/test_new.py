"""`semflash new`: what it sees in a folder of pictures, how it divides them, and what it writes."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
from PIL import Image

from semflash.cli.main import main
from semflash.data.image_folder import count_images, read_image_folder
from semflash.data.own import division, survey
from semflash.data.registry import load_dataset, training_images
from semflash.errors import DatasetError, UsageError
from semflash.settings import load_settings
from semflash.training.recipes import own
from semflash.training.recipes.catalogue import codec_recipe, task_recipe
from semflash.training.recipes.steps import codec_in_steps, task_in_steps


def picture(path: Path, seed: int, mode: str = "RGB", size: tuple[int, int] = (50, 40)) -> Path:
    """A file of noise, the same for the same seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, "RGBA").convert(mode).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """20 + 30 pictures of two classes, not divided."""
    for name, count in (("cat", 20), ("dog", 30)):
        for number in range(count):
            picture(tmp_path / "photos" / name / f"{number:02d}.png", 1000 * count + number)
    return tmp_path / "photos"


def names(pictures: tuple[survey.Picture, ...]) -> set[str]:
    return {f"{one.label}/{one.path.name}" for one in pictures}


def test_pictures_are_counted_by_class_size_and_mode(photos: Path) -> None:
    picture(photos / "cat" / "wide.png", 1, "L", (90, 30))
    found = survey.look_at(photos)
    assert found.classes == ("cat", "dog") and not found.divided and not found.grey
    assert Counter(one.label for one in found.pictures) == {"cat": 21, "dog": 30}
    assert {(one.width, one.height) for one in found.pictures} == {(50, 40), (90, 30)}
    assert found.short_side == 40
    assert [one.path.name for one in found.to_convert()] == ["wide.png"]


def test_bad_files_other_files_and_copies_are_told(photos: Path) -> None:
    (photos / "cat" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (photos / "dog" / "notes.txt").write_text("x")
    (photos / "dog" / "again.png").write_bytes((photos / "dog" / "03.png").read_bytes())
    (photos / "dog" / "cat.png").write_bytes((photos / "cat" / "03.png").read_bytes())
    found = survey.look_at(photos)
    said = "\n".join(survey.remarks(found))
    assert "1 files cannot be read, as" in said and "cut.jpg" in said
    assert "1 .txt" in said
    assert "1 pictures lie in two classes" in said
    assert "2 pictures are exact copies" in said


def test_a_truncated_picture_is_bad_though_its_header_is_good(photos: Path) -> None:
    whole = (photos / "cat" / "00.png").read_bytes()
    (photos / "cat" / "00.png").write_bytes(whole[: len(whole) // 2])
    assert [error.path.name for error in survey.look_at(photos).bad] == ["00.png"]


def test_uneven_and_rare_classes_are_told(photos: Path) -> None:
    for number in range(60):
        picture(photos / "dog" / f"more-{number}.png", number)
    for number in range(5, 20):
        (photos / "cat" / f"{number:02d}.png").unlink()
    said = survey.remarks(survey.look_at(photos))
    assert any("uneven: 90 of dog, 5 of cat" in one for one in said)
    assert any("fewer than 20 pictures of cat" in one for one in said)


@pytest.mark.parametrize("what", ["missing", "empty", "one class"])
def test_a_folder_that_cannot_be_learnt_from_is_refused(what: str, tmp_path: Path) -> None:
    if what != "missing":
        (tmp_path / "photos").mkdir()
    if what == "one class":
        picture(tmp_path / "photos" / "cat" / "0.png", 0)
    with pytest.raises(DatasetError) as caught:
        survey.look_at(tmp_path / "photos")
    assert "CLASS/*.jpg" in caught.value.remedy


def test_the_division_is_seeded_by_class_and_complete(photos: Path) -> None:
    found = survey.look_at(photos)
    first, again, other = (division.divide(found, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert names(first.test) != names(other.test)
    assert Counter(one.label for one in first.test) == {"cat": 4, "dog": 6}
    assert not names(first.train) & names(first.test)
    assert names(first.train) | names(first.test) == names(found.pictures)


def test_copies_of_a_picture_are_never_on_both_sides(photos: Path) -> None:
    for number in range(10):
        (photos / "cat" / f"copy-{number}.png").write_bytes(
            (photos / "cat" / f"{number:02d}.png").read_bytes()
        )
    for seed in range(5):
        parts = division.divide(survey.look_at(photos), share=0.5, seed=seed)
        assert not {one.digest for one in parts.train} & {one.digest for one in parts.test}


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_leaves_a_part_empty_is_refused(share: float, photos: Path) -> None:
    with pytest.raises(UsageError, match="share"):
        division.divide(survey.look_at(photos), share=share)


def test_a_class_with_one_picture_cannot_be_divided(photos: Path) -> None:
    picture(photos / "owl" / "only.png", 5)
    with pytest.raises(DatasetError, match="no picture for train of owl"):
        division.divide(survey.look_at(photos))


def divided(photos: Path) -> Path:
    """The same pictures with a test part."""
    for folder in sorted(photos.iterdir()):
        for path in sorted(folder.iterdir()):
            part = "test" if path.stem < "05" else "train"
            (photos / part / folder.name).mkdir(parents=True, exist_ok=True)
            path.rename(photos / part / folder.name / path.name)
        folder.rmdir()
    return photos


def test_a_divided_folder_stays_as_it_is_and_is_used_in_place(photos: Path, tmp_path: Path) -> None:
    found = survey.look_at(divided(photos))
    parts = division.divide(found)
    assert parts.seed is None and len(parts.test) == 10 and len(parts.train) == 40
    assert division.is_ready(found, parts)
    (photos / "train" / "cat" / "bad.png").write_bytes(b"x")
    found = survey.look_at(photos)
    assert not division.is_ready(found, division.divide(found))


@pytest.mark.parametrize(("with_test", "tested"), [(True, 10), (False, 3)])
def test_a_validation_part_is_learnt_from_or_is_the_test(with_test: bool, tested: int, photos: Path) -> None:
    divided(photos)
    for number, name in enumerate(("cat", "dog", "dog")):
        picture(photos / "valid" / name / f"v{number}.png", 7 + number)
    if not with_test:
        (photos / "test").rename(photos.parent / "away")
    parts = division.divide(survey.look_at(photos))
    assert len(parts.test) == tested
    assert len(parts.train) == 40 + (3 if with_test else 0)


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_laid_out_is_read_by_the_training(copy: bool, photos: Path, tmp_path: Path) -> None:
    picture(photos / "cat" / "grey, one.png", 3, "L")
    picture(photos / "dog" / "clear.png", 4, "RGBA")
    (photos / "dog" / "bad.jpg").write_bytes(b"no")
    found = survey.look_at(photos)
    parts = division.divide(found)
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*.*")}
    division.lay_out(found, parts, tmp_path / "data", copy=copy)
    assert before == {path: path.stat().st_mtime_ns for path in photos.rglob("*.*")}
    data = read_image_folder(tmp_path / "data", (32, 32))
    assert data.class_names == ("cat", "dog")
    assert (len(data.train[1]), len(data.test[1])) == (len(parts.train), len(parts.test))
    assert data.train[0].shape[1:] == (32, 32, 3)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "data" / "split.csv").read_text())))
    assert Counter(row["part"] for row in rows) == {
        "train": len(parts.train),
        "test": len(parts.test),
        "left out": 1,
    }
    notes = {Path(row["file"]).name: row["note (drawn with seed 0)"] for row in rows}
    assert notes["grey, one.png"] == "L converted" and notes["clear.png"] == "RGBA converted"
    links = [path for path in (tmp_path / "data").rglob("*.png") if path.is_symlink()]
    assert bool(links) is not copy


def test_a_folder_that_new_did_not_make_is_never_replaced(photos: Path, tmp_path: Path) -> None:
    found = survey.look_at(photos)
    parts = division.divide(found)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").write_text("x")
    with pytest.raises(UsageError, match="refusing"):
        division.lay_out(found, parts, tmp_path / "data")
    assert (tmp_path / "data" / "precious").exists()
    (tmp_path / "link").symlink_to(photos)
    (photos / "split.csv").write_text("x")
    with pytest.raises(UsageError, match="refusing"):
        division.lay_out(found, parts, tmp_path / "link")
    assert (photos / "cat").is_dir()


def test_a_picture_that_is_written_anew_takes_no_others_name(photos: Path, tmp_path: Path) -> None:
    picture(photos / "cat" / "a.gif", 1, "L")
    picture(photos / "cat" / "a.gif.png", 2)
    found = survey.look_at(photos)
    division.lay_out(found, division.divide(found), tmp_path / "data")
    assert len(list((tmp_path / "data").rglob("*/cat/*"))) == 22


def test_a_stopped_lay_out_is_made_again(photos: Path, tmp_path: Path) -> None:
    found = survey.look_at(photos)
    (tmp_path / ".data.part" / "train").mkdir(parents=True)
    (tmp_path / ".data.part" / "train" / "rest").write_text("x")
    for _ in range(2):
        division.lay_out(found, division.divide(found), tmp_path / "data")
    assert (tmp_path / "data" / "split.csv").is_file() and not list(tmp_path.rglob("rest"))


def test_a_name_that_is_no_text_is_left_out_and_said(photos: Path, tmp_path: Path) -> None:
    try:
        picture(photos / "cat" / "x.png", 3).rename(photos / "cat" / os.fsdecode(b"\xff\xfe.png"))
    except OSError:
        pytest.skip("this file system takes no such name")
    found = survey.look_at(photos)
    assert [error.reason for error in found.bad] == ["its name is no UTF-8"]
    division.lay_out(found, division.divide(found), tmp_path / "data")
    assert "left out" in (tmp_path / "data" / "split.csv").read_text()


def test_grey_pictures_stay_grey(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(6):
            picture(tmp_path / "p" / name / f"{number}.png", number + ord(name), "L")
    found = survey.look_at(tmp_path / "p")
    division.lay_out(found, division.divide(found), tmp_path / "data")
    assert read_image_folder(tmp_path / "data", (32, 32)).train[0].shape[1:] == (32, 32, 1)


@pytest.mark.parametrize("family", own.FAMILIES)
@pytest.mark.parametrize("side", [32, 40, 48, 64, 96, 100])
def test_the_plan_promises_the_bytes_that_the_family_makes(side: int, family: own.Family) -> None:
    pytest.importorskip("keras")
    from semflash.codecs.registry import sizes_of

    plan = own.plan_for(200, side, 96, family)
    half = -(-side // 2)
    sizes = sizes_of(family, {"image_shape": (side, side, 3), "feature_shape": (half, half, 16)} | plan.sizes)
    assert -(-sizes.symbols * (sizes.levels - 1).bit_length() // 8) == plan.payload_bytes
    assert 0.6 * 96 <= plan.payload_bytes <= 1.4 * 96


@pytest.mark.parametrize(("side", "payload"), [(8, 48), (1000, 48), (64, 1), (64, 100_000)])
def test_what_cannot_be_had_is_refused_with_what_can(side: int, payload: int) -> None:
    with pytest.raises(UsageError) as caught:
        own.plan_for(200, side, payload)
    assert caught.value.remedy.startswith("--")


def test_few_pictures_get_as_many_steps_as_it_takes_and_many_get_passes() -> None:
    few, many = own.plan_for(173, 64, 96), own.plan_for(50_000, 64, 96)
    assert (few.task_steps, few.codec_steps) == (own.TASK_STEPS, own.CODEC_STEPS)
    assert many.task_steps == own.TASK_PASSES * (50_000 // 128)
    task = task_in_steps(task_recipe("photos"), 600, 173)
    assert task.epochs * (173 // task.batch) >= 600 > (task.epochs - 1) * (173 // task.batch)
    codec = codec_in_steps(codec_recipe("photos"), 1500, 173)
    assert (codec.autoencoder_epochs + codec.task_epochs) * (173 // 16) >= 1500
    assert 0.1 < codec.autoencoder_epochs / codec.task_epochs < 0.25
    without = codec_in_steps(codec_recipe("fashion-mnist-48"), 1, 10)
    assert without.task_epochs == 1


def test_images_are_counted_without_being_opened(photos: Path) -> None:
    divided(photos)
    assert count_images(photos) == 40
    assert training_images(photos) == len(load_dataset(photos).train) == 36


def test_a_picture_that_was_written_again_is_read_again(photos: Path) -> None:
    divided(photos)
    first = read_image_folder(photos, (16, 16))
    assert read_image_folder(photos, (16, 16)) is first
    path = photos / "train" / "cat" / "07.png"
    stamp = path.stat()
    path.write_bytes((photos / "train" / "cat" / "08.png").read_bytes())
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert read_image_folder(photos, (16, 16)) is not first


def test_new_writes_settings_that_load_and_say_all(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "photos", "--yes", "--bytes", "48", "--board", "native"]) == 0
    out = capsys.readouterr().out
    assert "cat" in out and "48 bytes per image" in out
    assert "resized" in out and "stretched to a square" in out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    assert "cd mine" in out and out.index("semflash train\n") < out.index("semflash run\n")
    settings = load_settings(tmp_path / "mine" / "semflash.toml")
    assert settings.train.recipe == "photos" and settings.build.board == "native"
    assert settings.train.dataset is not None and Path(settings.train.dataset) == tmp_path / "mine" / "data"
    assert settings.build.bundle == str(tmp_path / "mine" / "mine.semcodec")
    assert settings.train.codec["sizes"]["latent"] >= 1
    deep = tmp_path / "mine" / "data" / "train"
    assert load_settings(start=deep).path == tmp_path / "mine" / "semflash.toml"
    assert main(["new", "mine", "--data", "photos", "--yes"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["new", "mine", "--data", "photos", "--yes", "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["train"] == 40 and found["test"] == 10 and found["image_size"] == 32


@pytest.mark.parametrize("name", ["a b", "x" * 50, ".hidden", "-dash"])
def test_a_name_that_no_bundle_can_have_is_refused(
    name: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "--data", str(photos), "--yes", "--", str(tmp_path / name)]) == 2
    assert "the folder's name" in capsys.readouterr().err


def test_awkward_names_of_folders_survive_the_settings_file(photos: Path, tmp_path: Path) -> None:
    awkward = tmp_path / 'it\'s "a" \\ b\x7fé'
    divided(photos).rename(awkward)
    assert main(["new", str(tmp_path / "mine"), "--data", str(awkward), "--yes"]) == 0
    assert load_settings(tmp_path / "mine" / "semflash.toml").train.dataset == str(awkward)


def test_the_zoo_and_networks_are_beginnings_as_well(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", str(tmp_path / "z"), "--from", "zoo", "--bundle", "mnist-12", "--yes"]) == 0
    assert load_settings(tmp_path / "z" / "semflash.toml").build.bundle == "mnist-12"
    assert main(["new", str(tmp_path / "y"), "--from", "zoo", "--bundle", "mnist-21"]) == 2
    assert "--bundle mnist-12" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "n"), "--from", "onnx", "--data", str(photos)]) == 2
    model = tmp_path / "model.onnx"
    model.write_bytes(b"x")
    flags = ["--from", "onnx", "--network", str(model), "--data", str(photos), "--split", "relu 1"]
    capsys.readouterr()
    assert main(["new", str(tmp_path / "n"), *flags]) == 0
    assert "--split 'relu 1'" in capsys.readouterr().out
    settings = load_settings(tmp_path / "n" / "semflash.toml")
    assert settings.train.task_run == str(tmp_path / "n" / "runs/n/task")
    assert not (tmp_path / "y").exists()


def test_at_a_terminal_it_asks_and_asks_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([str(photos), "zero", "48", "", "semantic", "semanticnn", "native"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(["new", str(tmp_path / "mine")]) == 0
    settings = load_settings(tmp_path / "mine" / "semflash.toml")
    assert settings.train.task["image_size"] == 48 and settings.build.board == "native"
    assert next(answers, None) is None


def test_without_a_terminal_and_without_pictures_it_says_which_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", str(tmp_path / "mine"), "--yes"]) == 2
    assert "--data FOLDER" in capsys.readouterr().err


def test_run_takes_as_many_images_as_the_test_part_has(photos: Path, tmp_path: Path) -> None:
    assert main(["new", str(tmp_path / "mine"), "--data", str(photos), "--yes"]) == 0
    assert load_settings(tmp_path / "mine" / "semflash.toml").monitor.count is None


def test_a_quick_try_is_exported_though_it_may_have_learnt_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", str(tmp_path / "a"), "--data", str(photos), "--yes", "--quick"]) == 0
    assert "semflash export --force\n" in capsys.readouterr().out
    assert main(["new", str(tmp_path / "b"), "--data", str(photos), "--yes"]) == 0
    assert "semflash export\n" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["evaluate", "build", "run", "monitor"])
def test_a_project_without_its_bundle_says_which_verb_makes_it(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "semflash.toml").write_text('[train]\nout_dir = "runs/m"\n[build]\nbundle = "m.semcodec"\n')
    monkeypatch.chdir(tmp_path)
    assert main([verb]) == 1
    assert "try: semflash train, then semflash export\n" in capsys.readouterr().err
    (tmp_path / "runs/m/codec").mkdir(parents=True)
    (tmp_path / "runs/m/codec/weights.npz").write_bytes(b"")
    assert main([verb]) == 1
    assert "try: semflash export\n" in capsys.readouterr().err
    (tmp_path / "m.semcodec").write_bytes(b"a file in its place")
    assert main([verb]) == 1
    assert "no such bundle" in capsys.readouterr().err
