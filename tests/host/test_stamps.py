"""Stamps: what belongs to which split, how images are composed, the cache, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from fakes.stamp_tree import BLACK, WHITE, stamp, stamp_tree
from semflash.data.registry import load_dataset
from semflash.data.stamps import cutouts as stamps
from semflash.data.stamps import images as stamp_images
from semflash.data.stamps.compose import contrasting
from semflash.data.stamps.cutouts import StampClass, find_stamps, load_sprites, read_sprite, split_files
from semflash.data.stamps.images import CLASSES, compose_images, composed
from semflash.errors import DatasetError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "semflash" / "data"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return stamp_tree(tmp_path / "tree")


def test_every_stamp_is_in_exactly_one_split(tree: Path):
    parts = split_files(tree, WHITE)
    assert {split: len(files) for split, files in parts.items()} == {"train": 13, "val": 3, "test": 4}
    everything = [path for files in parts.values() for path in files]
    assert len(set(everything)) == 20 and set(everything) == set(tree.rglob("white/*.png"))


def test_a_stamp_and_its_mirror_image_stay_together(tree: Path):
    plain = sorted((tree / "things/black").glob("*.png"))
    for path in plain:
        stamp(path.with_name(f"{path.stem}_mirror.png"), 0)
    parts = split_files(tree, BLACK)
    assert sum("_mirror" in path.stem for files in parts.values() for path in files) == len(plain) > 2
    for files in parts.values():
        stems = {path.stem for path in files}
        assert {f"{stem}_mirror" for stem in stems if "_" not in stem} == {s for s in stems if "_" in s}


def test_the_split_does_not_depend_on_where_the_stamps_lie(tree: Path, tmp_path: Path):
    other = stamp_tree(tmp_path / "elsewhere")
    here, there = split_files(tree, BLACK), split_files(other, BLACK)
    assert [p.relative_to(tree) for p in here["test"]] == [p.relative_to(other) for p in there["test"]]


def test_a_sprite_is_cut_to_its_opaque_part_and_knows_its_luminance(tmp_path: Path):
    stamp(tmp_path / "a.png", 255, (200, 100))
    sprite = read_sprite(tmp_path / "a.png")
    assert sprite.image.size == (64, 32) and sprite.luminance == pytest.approx(255)


def test_composed_images_show_the_stamp_of_their_label(tree: Path):
    sprites = load_sprites(tree, (BLACK, WHITE))["train"]
    images, labels = compose_images(sprites, 200, 32, np.random.default_rng(3))
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8 and labels.dtype == np.int32
    assert 60 < labels.sum() < 140
    near_black = (images.max(-1) < 12).mean((1, 2))
    assert near_black[labels == 0].min() > 0.15
    # a white stamp is recoloured to at least 0.8 x 0.88 of 255 in every channel
    near_white = (images.min(-1) > 175).mean((1, 2))
    assert near_white[labels == 1].min() > 0.15


def test_the_same_seed_gives_the_same_images_and_another_one_others(tree: Path):
    sprites = load_sprites(tree, (BLACK, WHITE))["val"]
    first, again, other = (
        compose_images(sprites, 20, 16, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_backgrounds_keep_away_from_the_luminance_of_the_stamp():
    wished = np.repeat([0.0, 60.0, 128.0, 200.0, 255.0], 200)
    found = contrasting(wished, np.random.default_rng(0))
    assert np.abs(found - wished).min() >= 70 and found.min() >= 0 and found.max() <= 255


def test_a_composed_set_comes_from_the_cache_until_a_stamp_changes(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    counts = {"train": 30, "val": 10, "test": 10}

    def load() -> dict[str, np.ndarray]:
        return composed("toy", tree, (BLACK, WHITE), counts, 16, compose_images)

    first = load()
    with monkeypatch.context() as patched:
        patched.setattr(stamp_images, "load_sprites", lambda *_: pytest.fail("composed again"))
        assert all(np.array_equal(first[key], value) for key, value in load().items())
    stamp(tree / "things/black/0.png", 40)
    assert not all(np.array_equal(first[key], value) for key, value in load().items())
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_cache_file_is_made_again(tree: Path, cache: Path):
    counts = {"train": 8, "val": 4, "test": 4}
    first = composed("toy", tree, (BLACK, WHITE), counts, 16, compose_images)
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-300])
    second = composed("toy", tree, (BLACK, WHITE), counts, 16, compose_images)
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_stamps_load_by_name_with_ten_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stamp_images, "COUNTS", {"train": 60, "val": 20, "test": 20})
    data = load_dataset("stamps", data_dir=stamp_tree(tmp_path / "data/stamps", CLASSES, 5).parent)
    assert data.image_shape == (32, 32, 3)
    assert (len(data.train), len(data.val), len(data.test)) == (60, 20, 20)
    assert data.class_names[0] == "bird" and len(data.class_names) == 10


def test_grey_stamps_have_the_shape_of_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stamp_images, "COUNTS", {"train": 12, "val": 5, "test": 5})
    data = load_dataset("stamps-grey", data_dir=stamp_tree(tmp_path / "data/stamps", CLASSES, 5).parent)
    assert data.image_shape == (28, 28, 1)
    assert (len(data.train), len(data.class_names)) == (12, 10)


def test_grey_is_the_luminance_of_the_colour_image(tree: Path):
    sprites = load_sprites(tree, (BLACK,))["train"]
    colour, labels = stamp_images.compose_images(sprites, 3, 28, np.random.default_rng(5))
    grey, same = stamp_images.compose_grey_images(sprites, 3, 28, np.random.default_rng(5))
    # ITU-R BT.601 in exact thousandths, rounded half to even as numpy does.
    expected = np.rint((colour.astype(np.int64) * [299, 587, 114]).sum(-1) / 1000)
    assert np.abs(grey[..., 0].astype(int) - expected).max() <= 1
    assert (grey[..., 0] == expected).mean() > 0.99
    assert labels.tolist() == same.tolist()


def test_missing_stamps_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stamps, "DEBIAN_STAMPS", tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="apt-get install tuxpaint-stamps-default"):
        load_dataset("stamps", data_dir=tmp_path)


def test_an_incomplete_tree_is_not_taken_for_the_stamps(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stamps, "DEBIAN_STAMPS", tree / "nowhere")
    assert find_stamps(tree, (BLACK,)) == tree
    with pytest.raises(DatasetError, match="not installed"):
        find_stamps(tree, (BLACK, StampClass("red", ("things/red",))))


def test_a_class_of_four_stamps_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="class black needs at least 5 stamps"):
        split_files(stamp_tree(tmp_path, each=4), BLACK)


def test_unreadable_and_transparent_stamps_are_refused(tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    with pytest.raises(DatasetError, match=r"broken\.png"):
        read_sprite(tmp_path / "broken.png")
    stamp(tmp_path / "glass.png", 0, (0, 0))
    with pytest.raises(DatasetError, match="wholly transparent"):
        read_sprite(tmp_path / "glass.png")
