"""Scenes with one stamp that matters: masks are exact, the target lies above, splits share no stamp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from PIL import Image

from fakes.stamp_tree import stamp_tree
from semflash.data.dataset import BACKGROUND, OTHERS, TARGET
from semflash.data.registry import load_dataset
from semflash.data.stamps import focus_scenes
from semflash.data.stamps.compose import OCTAVES, octaves
from semflash.data.stamps.cutouts import Sprite, split_files
from semflash.data.stamps.focus_scenes import CLASSES, CLUTTER, NAME, compose_focus, cover_of


def square(grey: int) -> Sprite:
    """An opaque square of one grey value."""
    return Sprite(Image.new("RGBA", (32, 32), (grey, grey, grey, 255)), grey, False)


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 scenes: white targets above black others, on grey without noise."""
    flat = np.zeros((60, 64, 64, 3), np.float32)
    monkeypatch.setattr(focus_scenes, "backgrounds", lambda *_: flat + 128)
    monkeypatch.setattr(focus_scenes, "octaves", lambda *_: flat)
    return compose_focus([[square(255)]], [[square(0)]], 60, np.random.default_rng(5))


def test_masks_say_what_each_pixel_shows(scenes: tuple[np.ndarray, np.ndarray, np.ndarray]):
    images, labels, masks = scenes
    grey = images.astype(int).mean(-1)
    # Targets are at least 0.8 x 0.88 of white; others stay black; edges of turned squares are mixtures.
    assert grey[masks == TARGET].mean() > 200 and grey[masks == OTHERS].mean() < 30
    clear = [(masks == TARGET) & (grey < 140), (masks == OTHERS) & (grey > 116)]
    assert all(wrong.mean() < 0.02 for wrong in clear)
    assert (np.abs(grey[masks == BACKGROUND] - 128) < 100).all() and (labels == 0).all()


def test_every_scene_has_a_whole_target_and_some_have_none_to_two_others(
    scenes: tuple[np.ndarray, np.ndarray, np.ndarray],
):
    masks = scenes[2]
    area = (masks == TARGET).sum((1, 2))
    # A square turned by up to 20 degrees fills between 0.6 and all of its box of 24 to 42 pixels.
    assert area.min() >= 0.55 * 24 * 24 and area.max() <= 42 * 42
    without = (masks != OTHERS).all((1, 2)).mean()
    assert 0.1 < without < 0.7


def test_the_cover_is_the_targets_share_of_each_patch():
    masks = np.zeros((1, 16, 16), np.uint8)
    masks[0, :8, :8], masks[0, 8:, :4], masks[0, :8, 8:] = TARGET, TARGET, OTHERS
    assert cover_of(masks).tolist() == [[[255, 0], [128, 0]]]


def test_octaves_add_up_to_the_spread_they_are_told():
    noise = octaves(40, 64, np.random.default_rng(1))
    assert noise.shape == (40, 64, 64, 3) and noise.dtype == np.float32
    # Linear interpolation between independent grid points keeps (2/3)^2 of the variance, at the finest all.
    grey = sum(sigma**2 * (1 if cells == 64 else 4 / 9) for cells, sigma in OCTAVES)
    assert abs(noise.std() / (grey * 1.16) ** 0.5 - 1) < 0.12


def test_the_data_set_is_composed_once_of_stamps_that_splits_do_not_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(focus_scenes, "COUNTS", {"train": 12, "val": 4, "test": 4})
    root = stamp_tree(tmp_path / "stamps", CLASSES + CLUTTER, 5)
    data = load_dataset(NAME, data_dir=tmp_path)
    assert "20 images, once" in capsys.readouterr().err
    assert data.image_shape == (64, 64, 3) and len(data.class_names) == 10 and data.source is not None
    for split, count in ((data.train, 12), (data.val, 4), (data.test, 4)):
        assert split.masks is not None and split.cover is not None
        assert split.masks.shape == (count, 64, 64) and split.cover.shape == (count, 8, 8)
        assert (
            np.array_equal(split.cover, cover_of(split.masks)) and (split.masks == TARGET).any((1, 2)).all()
        )
    with monkeypatch.context() as patched:
        patched.setattr(focus_scenes, "_compose", lambda *_: pytest.fail("composed again"))
        again = load_dataset(NAME, data_dir=tmp_path)
    assert np.array_equal(again.test.images, data.test.images)
    monkeypatch.setattr(focus_scenes, "SEED", 1)
    assert not np.array_equal(load_dataset(NAME, data_dir=tmp_path).test.images, data.test.images)
    for one in (CLASSES[0], CLUTTER[0]):
        files = [set(split_files(root, one)[split]) for split in ("train", "val", "test")]
        assert not files[0] & files[1] and not files[0] & files[2] and not files[1] & files[2]


def test_no_other_stamp_comes_from_a_folder_of_a_class():
    targets = [folder for one in CLASSES for folder in one.folders]
    others = [folder for one in CLUTTER for folder in one.folders]
    assert not any(a.startswith(b) or b.startswith(a) for a in targets for b in others)
