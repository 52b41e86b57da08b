"""A smaller number of images is a seeded sample with as many of each class, whatever the order on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fakes.idx_files import write_blocks
from semflash.cli.main import main
from semflash.data.registry import load_dataset
from semflash.data.sample import balanced, mixed

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.mark.parametrize("count", [1, 7, 10, 33, 90, 99])
def test_a_sample_of_sorted_labels_has_as_many_of_each_class(count: int):
    labels = np.repeat(np.arange(10), 10)
    chosen = balanced(labels, count)
    assert len(set(chosen.tolist())) == count
    found = np.bincount(labels[chosen], minlength=10)
    assert found.max() - found.min() <= 1


def test_small_classes_are_taken_whole_and_the_rest_fills_up():
    labels = np.repeat([0, 1, 2], [100, 30, 2])
    assert np.bincount(labels[balanced(labels, 42)]).tolist() == [20, 20, 2]


def test_a_smaller_sample_is_the_beginning_of_a_larger_one_and_another_seed_another_sample():
    labels = np.random.default_rng(0).integers(0, 5, 500)
    large = balanced(labels, 200)
    assert np.array_equal(balanced(labels, 50), large[:50])
    assert not np.array_equal(balanced(labels, 50, 1), large[:50])
    assert set(balanced(labels, 50, 1)) != set(large[:50])


@pytest.mark.parametrize("count", [None, 20, 21])
def test_all_images_stay_in_their_order(count: int | None):
    assert balanced(np.repeat([0, 1], 10), count).tolist() == list(range(20))


def test_images_with_boxes_are_drawn_at_random():
    chosen = balanced(np.zeros((50, 3, 6), np.float32), 10)
    assert len(set(chosen.tolist())) == 10 and chosen.tolist() != list(range(10))


def test_every_beginning_of_a_mixed_order_has_the_shares_of_the_classes():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    order = mixed(labels, 3)
    assert sorted(order.tolist()) == list(range(1000))
    for count in (10, 50, 200, 777):
        found = np.bincount(labels[order[:count]], minlength=3)
        assert np.abs(found - np.array([0.6, 0.3, 0.1]) * count).max() <= 1.5


def test_an_image_folder_is_divided_by_class_and_its_training_images_are_mixed(tmp_path: Path):
    from fakes.image_folders import folder_of_images

    folder = folder_of_images(tmp_path / "data", classes=4, train=20, test=3, side=8)
    data = load_dataset(folder, image_size=(8, 8))
    assert np.bincount(data.val.labels).tolist() == [2, 2, 2, 2]
    assert np.bincount(data.train.labels).tolist() == [18] * 4
    assert np.bincount(data.train.labels[:8]).tolist() == [2, 2, 2, 2]


@pytest.fixture
def sorted_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_blocks(tmp_path / "set", train=40, test=40, in_order=True)


def test_evaluate_measures_a_sample_of_all_classes_and_says_which(
    sorted_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bundle = shutil.copytree(TINY, tmp_path / "tiny.semcodec")
    flags = ["evaluate", str(bundle), "--data-dir", str(sorted_data), "--ber", "0", "--limit", "10"]
    assert main([*flags, "--record"]) == 0
    printed = capsys.readouterr().out
    assert "10 images of fashion-mnist (test; a sample, as many of each class, seed 0)" in printed
    assert main([*flags, "--json", "--sample-seed", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["sample_seed"] == 5
    recorded = json.loads((bundle / "codec.json").read_text())["record"]["measurements"]
    assert [(one["images"], one["sample_seed"]) for one in recorded] == [(10, 0)]
    assert main([*flags[:-2], "--json"]) == 0
    assert "sample_seed" not in json.loads(capsys.readouterr().out)


def test_monitor_runs_a_sample_of_all_classes_and_says_which(
    sorted_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = ["--data-dir", str(sorted_data), "--board", "native", "--check-golden"]
    assert main(["run", str(TINY), *data, "--count", "20", "--record", "run.jsonl"]) == 0
    assert "of 40 test images, as many of each class, seed 0" in capsys.readouterr().out
    session, *lines, end = map(json.loads, Path("run.jsonl").read_text().splitlines())
    images = [line for line in lines if line["kind"] == "image"]
    assert np.bincount([line["label"] for line in images]).tolist() == [2] * 10
    assert all(line["label"] == line["index"] // 4 and line["golden_equal"] for line in images)
    assert session["sample"] == end["sample"] == {"images": 20, "of": 40, "seed": 0}
    for flags, count in ((["--count", "all"], 40), ([], 40)):  # 200 where nobody says, or all there are
        assert main(["monitor", str(TINY), *data, *flags, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["received"], found["sample"]) == (count, None)
    assert main(["monitor", str(TINY), *data, "--count", "41"]) == 2
    assert main(["monitor", str(TINY), *data, "--count", "some"]) == 2
