"""Attention over segments: what it looks at, what it must not depend on, and that it learns."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from fakes.segments import masked_data
from semflash.errors import SegmentError
from semflash.segments.cutting import SIDE, aware, blurred, cut_out
from semflash.segments.importance import segment_weights
from semflash.segments.manifest import SPLITS
from semflash.segments.store import SegmentStore
from semflash.segments.weighing import Weighing, names, weighing
from semflash.training.progress import Progress
from semflash.training.segmenting import segment as segmenting
from semflash.training.segmenting.attention import (
    PARTS,
    AttentionRecipe,
    Parts,
    build_attention,
    fit_attention,
    module_weights,
    weigh_by_attention,
)
from semflash.training.segmenting.segment import SegmentRequest, segment

QUIET = Progress(quiet=True)


def patches(count: int, side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of four quarters, of which one is red and the others grey; maps; the weights of the red ones."""
    rng = np.random.default_rng(seed)
    images = np.repeat(rng.integers(60, 200, (count, 2, 2, 1), np.uint8), 3, 3)
    red = rng.integers(0, 4, count)
    images[np.arange(count), red // 2, red % 2] = (220, 30, 30)
    maps = np.broadcast_to(np.arange(4, dtype=np.uint8).reshape(1, 2, 2), (count, 2, 2))
    weights = np.zeros((count, 64), np.float32)
    weights[np.arange(count), red] = 1
    images, maps = (one.repeat(side // 2, 1).repeat(side // 2, 2) for one in (images, maps))
    return images, np.ascontiguousarray(maps), weights


# Cut-outs


def test_a_cut_out_is_the_segment_on_black_with_its_share() -> None:
    image = np.full((32, 32, 3), 90, np.uint8)
    image[8:13, 8:16] = (10, 200, 30)
    numbers = np.zeros((32, 32), np.uint8)
    numbers[8:13, 8:16] = 7
    found, of = cut_out(image[None], numbers[None], 3)
    assert of.tolist() == [[0, 7, -1]] and found.shape == (1, 3, SIDE, SIDE, 4) and not found[0, 2].any()
    assert found[0, 1, 4, 4].tolist() == [10, 200, 30, 255] and not found[0, 1, 0].any()
    # Rows 12 and 13 fall into one cell; the first belongs to the segment.
    assert found[0, 1, 6, 5].tolist() == [5, 100, 15, 128]
    assert found[0, 0, 0, 0].tolist() == [90, 90, 90, 255] and found[0, 0, 4, 4, 3] == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 1), (17, 16, 3)])
def test_images_of_any_size_are_cut_out(shape: tuple[int, ...]) -> None:
    image = np.full((1, *shape), 77, np.uint8)
    found, of = cut_out(image, np.full((1, *shape[:2]), 5, np.uint8), 2)
    assert of.tolist() == [[5, -1]]
    assert (found[0, 0, ..., :3] == 77).all() and (found[0, 0, ..., 3] == 255).all()


# Semantic-aware images


def test_what_does_not_matter_is_black_blurred_or_kept() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 12, 3), np.uint8)
    maps = np.zeros((2, 16, 12), np.uint8)
    maps[:, 4:8], maps[:, 8:] = 1, 2
    weights = np.zeros((2, 64), np.float32)
    weights[:, 1], weights[:, 2] = 1, 0.25
    black, blur = aware(images, maps, weights, "black"), aware(images, maps, weights)
    assert not black[:, :4].any() and np.array_equal(black[:, 4:8], images[:, 4:8])
    assert np.abs(black[:, 8:] - 0.25 * images[:, 8:]).max() <= 0.5
    assert np.array_equal(blur[:, 4:8], images[:, 4:8])
    mean = images[1, :8, 8:].reshape(-1, 3).mean(0)  # the last block is four pixels wide
    assert np.abs(blur[1, :4, 8:] - mean).max() <= 0.5 + 1e-3
    assert np.array_equal(aware(images, maps, weights, "keep"), images)
    with pytest.raises(SegmentError, match="black, blur or keep"):
        aware(images, maps, weights, "white")  # type: ignore[arg-type]


def test_a_blurred_image_has_one_colour_in_each_block() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), np.uint8)
    found = blurred(images)
    assert found.shape == images.shape and np.allclose(found[0, :8, 8:], images[0, :8, 8:].mean())


# The module


@pytest.mark.parametrize("parts", PARTS)
def test_weights_belong_to_segments_whatever_their_order_and_number(parts: Parts) -> None:
    keras.utils.set_random_seed(1)
    model = build_attention(parts, 5)
    rng = np.random.default_rng(0)
    given = rng.random((3, 5, SIDE, SIDE, 4), np.float32)
    given[:, 4] = 0  # no fifth segment
    answers = np.asarray(model(given))
    assert answers.shape == (3, 5) and answers.min() >= 0 and answers.max() <= 1
    assert len(np.unique(answers[:, :4].round(6))) == 12
    order = np.array([2, 0, 3, 1, 4])
    assert np.abs(np.asarray(model(given[:, order])) - answers[:, order]).max() < 1e-5
    larger = build_attention(parts, 8)
    larger.set_weights(model.get_weights())
    more = np.concatenate([given, np.zeros((3, 3, SIDE, SIDE, 4), np.float32)], 1)
    assert np.abs(np.asarray(larger(more))[:, :4] - answers[:, :4]).max() < 1e-5


def test_each_kind_of_attention_is_there_where_it_is_asked_for() -> None:
    counts = {parts: build_attention(parts).count_params() for parts in PARTS}
    channel, spatial = counts["channel"] - counts["none"], counts["spatial"] - counts["none"]
    assert channel == (48 + 1) * 12 + 13 and spatial == 49 * 2 + 1
    assert counts["both"] == counts["none"] + channel + spatial


@pytest.mark.parametrize("parts", ["channel", "spatial"])
def test_attention_compares_a_segment_with_the_others(parts: Parts) -> None:
    keras.utils.set_random_seed(2)
    model = build_attention(parts, 3)
    given = np.random.default_rng(0).random((1, 3, SIDE, SIDE, 4), np.float32)
    other = given.copy()
    other[:, 2] = np.random.default_rng(1).random((SIDE, SIDE, 4), np.float32) * 3
    first, second = np.asarray(model(given)), np.asarray(model(other))
    assert np.abs(first[:, :2] - second[:, :2]).max() > 1e-5


# In a store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentStore:
    """Exact masks of small data, weighed by a task network that looks at segment 2."""
    data = masked_data(train=48)
    monkeypatch.setattr(segmenting, "load_dataset", lambda *_, **__: data)
    made = segment(SegmentRequest("masked", "exact", out=tmp_path / "s"), QUIET)[0]
    wanted = Weighing(1, "task", made.digest, {}, {"train": 40}, 16)
    with weighing(made, wanted) as rows:
        for block in rows["train"].left():
            weights = np.zeros((len(rows["train"].images_of(block)), 64), "<f2")
            weights[:, 2] = 1
            rows["train"].write(block, [weights])
    return made


def test_the_module_learns_which_segment_matters_and_knows_it_of_new_images() -> None:
    images, maps, weights = patches(160)

    class Data:
        train = type("Split", (), {"images": images})

    class Store:
        folder = Path("there")

        def segments(self, split: str) -> np.ndarray:
            return maps

    recipe = AttentionRecipe(segments=4, epochs=8, batch=16, rate=5e-3)
    model = fit_attention(Store(), Data(), weights, recipe, QUIET)  # type: ignore[arg-type]
    new, of, expected = patches(60, seed=1)
    found = module_weights(model, new, of, 4)
    assert found.shape == (60, 64) and not found[:, 4:].any()
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9


def test_images_without_a_label_are_weighed_too(store: SegmentStore) -> None:
    data = masked_data(train=48)
    recipe = AttentionRecipe("channel", segments=3, epochs=1, batch=16)
    weigh_by_attention(store, data, recipe, QUIET)
    assert names(store) == ("attention-channel", "task")
    for split in SPLITS:
        weights = segment_weights(store, split, "attention-channel")
        assert len(weights) == len(getattr(data, split)) and not weights[:, 3:].any()
        assert weights[:, :3].min() > 0 and weights.max() < 1


def test_without_the_task_network_s_weights_there_is_nothing_to_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = masked_data()
    monkeypatch.setattr(segmenting, "load_dataset", lambda *_, **__: data)
    made = segment(SegmentRequest("masked", "exact", out=tmp_path / "s"), QUIET)[0]
    with pytest.raises(SegmentError, match="nothing has weighed"):
        weigh_by_attention(made, data, progress=QUIET)
    with pytest.raises(SegmentError, match="no segment of the training split has any weight"):
        fit_attention(made, data, np.zeros((40, 64), np.float32), AttentionRecipe(), QUIET)
