"""Cluttered scenes: the item is where the cover says, and splits share nothing."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from fakes.stamp_tree import stamp_tree
from semflash.data.composing import told
from semflash.data.dataset import Dataset, Split
from semflash.data.stamps import fashion_scenes
from semflash.data.stamps.clutter import Kind, Material, compose_scenes, drawn_stamps
from semflash.data.stamps.cutouts import load_sprites, split_files
from semflash.data.stamps.fashion_scenes import CLUTTER, ITEMS, KINDS, SCENES, load_fashion_scenes

BARE = Kind(side=64, stamps=0, fragments=0)


def items(count: int, value: int) -> Split:
    """Items that fill their 28x28 pixels with one value; label 3."""
    return Split(np.full((count, 28, 28, 1), value, np.uint8), np.full(count, 3, np.int32))


@pytest.fixture
def material() -> Material:
    square = np.full((16, 16, 4), 255, np.float32)
    square[..., 3] = 1.0
    part = items(5, 0)
    part.images[:, 4:24, 9:19] = 200
    return Material(part.images[..., 0], part.labels, [square])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, few scenes, and a tree of stamps."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    counts = {"train": 24, "val": 6, "test": 6}
    monkeypatch.setattr(fashion_scenes, "COUNTS", {SCENES: counts, ITEMS: counts})
    monkeypatch.setattr(fashion_scenes, "DRAWN", dict.fromkeys(counts, 12))
    return stamp_tree(tmp_path / "stamps", CLUTTER, 5)


def test_the_cover_is_the_share_of_pixels_that_the_item_changed(material: Material):
    # The same generator draws background, tint and place of both, so that only the item differs.
    empty = dataclasses.replace(material, items=np.zeros_like(material.items))
    with_item = compose_scenes(material, BARE, 20, np.random.default_rng(1))
    without = compose_scenes(empty, BARE, 20, np.random.default_rng(1))
    assert without.cover.max() == 0
    changed = (with_item.images != without.images).any(-1)
    share = changed.reshape(20, 8, 8, 8, 8).mean((2, 4))
    # A pixel whose colour the item happens to leave as it was is not counted as changed.
    assert np.abs(share - with_item.cover / 255).max() < 0.1
    area = with_item.cover.sum((1, 2)) / 255 * 64
    # 20 x 10 of 28 x 28 pixels at sides 20 to 28; the bilinear edge adds at most one pixel on each side.
    assert area.min() >= 20 * 10 * (20 / 28) ** 2 * 0.9 and area.max() <= 22 * 12 * 1.1


def test_clutter_is_below_the_item_and_fades_where_it_is_asked_for(material: Material):
    cluttered = Kind(side=64, stamps=4, fragments=0)
    scenes = compose_scenes(material, cluttered, 40, np.random.default_rng(2))
    white = (scenes.images.min(-1) > 250).reshape(40, 8, 8, 8, 8).mean((2, 4))
    assert (white > 0.9).any((1, 2)).mean() > 0.5
    assert white[scenes.cover > 240].max() < 0.1
    faded = compose_scenes(
        material, dataclasses.replace(cluttered, fading=True), 40, np.random.default_rng(2)
    )
    assert (faded.images.min(-1) > 250).mean() < 0.6 * (scenes.images.min(-1) > 250).mean()


def test_fragments_are_cut_from_other_items(material: Material):
    kind = Kind(side=32, stamps=0, fragments=6)
    bright = dataclasses.replace(material, items=np.full_like(material.items, 255))
    plain = compose_scenes(bright, dataclasses.replace(kind, fragments=0), 8, np.random.default_rng(3))
    scenes = compose_scenes(bright, kind, 8, np.random.default_rng(3))
    assert scenes.images.shape == (8, 32, 32, 3) and scenes.cover.shape == (8, 4, 4)
    assert not np.array_equal(plain.images, scenes.images)


def test_drawn_stamps_keep_to_their_sizes(small: Path):
    sprites = load_sprites(small, CLUTTER[:1])["train"][0]
    drawn = drawn_stamps(sprites, 60, np.random.default_rng(0))
    sides = [max(one.shape[:2]) for one in drawn]
    assert min(sides) >= 9 and max(sides) == 22 and all(one[..., 3].max() <= 1 for one in drawn)


def test_no_clutter_shows_clothes():
    assert all(not folder.startswith(("clothes", "people")) for one in CLUTTER for folder in one.folders)


@pytest.mark.parametrize("name", [SCENES, ITEMS])
def test_splits_are_made_of_their_own_items_and_stamps(
    small: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    data = Dataset("items", items(30, 240), items(10, 160), items(10, 80), ("a", "b", "c", "d"))
    loaded = load_fashion_scenes(name, data, small)
    assert capsys.readouterr().out == ""  # what is shown goes to standard error
    side = KINDS[name].side
    assert loaded.image_shape == (side, side, 3) and loaded.class_names == ("a", "b", "c", "d")
    for split, count, value in (("train", 24, 240), ("val", 6, 160), ("test", 6, 80)):
        part = getattr(loaded, split)
        assert part.images.shape == (count, side, side, 3) and (part.labels == 3).all()
        whole = part.cover == 255
        patches = part.images.reshape(count, side // 8, 8, side // 8, 8, 3).mean((2, 4))[whole]
        # tint 0.5 to 1 of the split's own value, and 10 added
        assert patches.min() > 0.5 * value + 8 and patches.max() < value + 12
    with monkeypatch.context() as patched:
        patched.setattr(fashion_scenes, "_compose", lambda *_: pytest.fail("composed again"))
        again = load_fashion_scenes(name, data, small)
    assert np.array_equal(again.train.images, loaded.train.images)
    assert np.array_equal(again.test.cover, loaded.test.cover)
    files = [set(split_files(small, CLUTTER[0])[split]) for split in ("train", "val", "test")]
    assert not files[0] & files[2] and not files[0] & files[1] and not files[1] & files[2]


def test_other_items_are_another_cache_file(small: Path):
    def load(value: int) -> Dataset:
        data = Dataset("items", items(30, value), items(10, 160), items(10, 80), ("a", "b", "c", "d"))
        return load_fashion_scenes(ITEMS, data, small)

    assert not np.array_equal(load(240).train.images, load(200).train.images)


def test_a_composition_says_what_it_does_where_there_is_no_terminal():
    stream = io.StringIO()
    with told("composing scenes", 46_000, stream) as done:
        done(500)
    assert stream.getvalue() == "composing scenes: 46,000 images, once\n"
