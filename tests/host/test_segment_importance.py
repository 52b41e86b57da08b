"""What matters in an image: evidence of a task, weights of segments, importance of blocks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from fakes.segments import masked_data
from semflash.data.dataset import Dataset
from semflash.errors import SegmentError
from semflash.segments import evidence
from semflash.segments.evidence import Rule, ask, largest, only, weights_of, without
from semflash.segments.importance import block_importance, blocks_of, segment_weights, weighted
from semflash.segments.manifest import FORMAT, SPLITS, SegmentManifest, data_sha256, identity_of
from semflash.segments.opening import plan_of
from semflash.segments.store import SegmentStore, SegmentWriter
from semflash.segments.weighing import (
    MANIFEST,
    Weighing,
    load_weighing,
    names,
    place,
    stored_weights,
    weighing,
)


def bright(images: np.ndarray) -> np.ndarray:
    """A task of two classes: class 1 is the more probable, the more pixels are above 200 in red."""
    share = (images[..., 0] > 200).mean((1, 2))
    logits = np.stack([np.zeros(len(images)), 20 * share - 2], 1)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Grey with a bright square (segment 2), a dark one (1); the rest is segment 0, 72 % of the image."""
    image = np.full((16, 16, 3), 100, np.uint8)
    numbers = np.zeros((16, 16), np.uint8)
    image[2:8, 2:8], numbers[2:8, 2:8] = 255, 2
    image[9:15, 9:15], numbers[9:15, 9:15] = 0, 1
    return image, numbers


# Evidence


def test_a_removed_segment_has_the_mean_colour_around_it(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, numbers = scene
    gone = without(image, numbers == 2)
    ring = np.zeros((16, 16), bool)
    for y in range(16):
        for x in range(16):
            away = max(2 - y, 0, y - 7) + max(2 - x, 0, x - 7)
            ring[y, x] = 0 < away <= 3
    assert (gone[numbers == 2] == image[ring].mean(0).round()).all()
    assert (gone[numbers != 2] == image[numbers != 2]).all() and (image[3, 3] == 255).all()


def test_a_segment_alone_stands_before_the_images_mean_colour(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, numbers = scene
    alone = only(image, numbers == 2)
    assert (alone[numbers != 2] == image.reshape(-1, 3).mean(0).round()).all() and (alone[3, 3] == 255).all()


def test_a_segment_that_is_the_whole_image_can_be_removed() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert (without(image, np.ones((3, 3), bool)) == image.reshape(-1, 3).mean(0).round()).all()


def test_the_segment_that_the_task_looks_at_weighs_most(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, numbers = scene
    drops, alone = ask(image[None], np.array([1]), numbers[None], bright, Rule())
    assert np.isnan(drops[0, 3:]).all() and np.isfinite(drops[0, :3]).all()
    share = 36 / 256
    whole = np.log(1 / (1 + np.exp(2 - 20 * share)))
    gone = np.log(1 / (1 + np.exp(2.0)))
    assert drops[0, 2] == pytest.approx(whole - gone, abs=1e-5)
    # Of an image of its mean colour, as of one without the bright square, no pixel is bright.
    assert alone[0, 2] == pytest.approx(whole - gone, abs=1e-5)
    assert drops[0, 1] == pytest.approx(0, abs=1e-5) and alone[0, 1] == pytest.approx(0, abs=1e-5)
    weights = weights_of(drops, alone, numbers[None], Rule())
    assert weights[0, 2] == 1 and not weights[0, [0, 1]].any() and not weights[0, 3:].any()


def test_large_segments_are_ruled_out_at_the_stated_share(scene: tuple[np.ndarray, np.ndarray]) -> None:
    numbers = scene[1]
    drops = np.full((1, 64), np.nan, np.float32)
    drops[0, :3] = 4.0, 2.0, 1.0
    alone = np.zeros((1, 64), np.float32)
    assert weights_of(drops, alone, numbers[None], Rule())[0, :3].tolist() == [0, 1, 0.5]
    assert weights_of(drops, alone, numbers[None], Rule(large=0.8))[0, :3].tolist() == [1, 0.5, 0.25]
    share = (numbers == 0).mean()
    assert weights_of(drops, alone, numbers[None], Rule(large=share))[0, 0] == 1


def test_where_nothing_speaks_for_a_segment_all_weigh_nothing(scene: tuple[np.ndarray, np.ndarray]) -> None:
    drops = np.full((1, 64), np.nan, np.float32)
    drops[0, :3] = -1.0, 0.0, -5.0
    assert not weights_of(drops, np.zeros_like(drops), scene[1][None], Rule()).any()


def test_only_the_largest_segments_are_asked() -> None:
    numbers = np.repeat(np.arange(16, dtype=np.uint8), np.arange(1, 17)).reshape(8, 17)
    assert largest(numbers, 3).tolist() == [15, 14, 13] and len(largest(numbers, 99)) == 16
    asked = []

    def task(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return np.log(np.full((len(images), 2), 0.5))

    drops, _ = ask(np.zeros((1, 8, 17, 3), np.uint8), np.array([0]), numbers[None], task, Rule(most=3))
    assert np.flatnonzero(np.isfinite(drops[0])).tolist() == [13, 14, 15] and asked == [1, 1, 6]


def test_a_sure_network_is_no_reason_for_infinite_evidence(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, numbers = scene

    def sure(images: np.ndarray) -> np.ndarray:
        return np.stack([np.full(len(images), -np.inf), np.zeros(len(images))], 1)

    drops, alone = ask(image[None], np.array([0]), numbers[None], sure, Rule())
    assert drops[0, :3].tolist() == [0, 0, 0] == alone[0, :3].tolist()
    wrong, _ = ask(image[None], np.array([1]), numbers[None], sure, Rule())
    assert wrong[0, :3].tolist() == [0, 0, 0]


def test_an_answer_that_is_no_number_is_refused(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, numbers = scene
    with pytest.raises(SegmentError, match="no number"):
        ask(image[None], np.array([0]), numbers[None], lambda x: np.full((len(x), 2), np.nan), Rule())


def test_a_region_grows_inside_the_image_only() -> None:
    inside = np.zeros((5, 5), bool)
    inside[0, 0] = True
    assert evidence.grown(inside, 2).sum() == 6


# Blocks


def test_a_block_is_the_mean_over_its_pixels_and_edges_have_smaller_ones() -> None:
    pixels = np.arange(9 * 17, dtype=np.float32).reshape(1, 9, 17)
    found = blocks_of(pixels)
    assert found.shape == (1, 2, 3) and found.dtype == np.float32
    assert found[0, 0, 1] == pytest.approx(pixels[0, :8, 8:16].mean())
    assert found[0, 1, 2] == pixels[0, 8, 16] and found[0, 1, 0] == pytest.approx(pixels[0, 8, :8].mean())


def test_a_pixel_has_the_weight_of_its_segment() -> None:
    maps = np.array([[[0, 5], [63, 0]], [[1, 1], [0, 0]]], np.uint8)
    weights = np.random.default_rng(0).random((2, 64), np.float32)
    expected = [[[weights[0, 0], weights[0, 5]], [weights[0, 63], weights[0, 0]]]]
    assert np.array_equal(weighted(maps, weights)[:1], expected)
    assert weighted(maps, weights)[1, 0, 0] == weights[1, 1]


# Weights in a store

DATA = masked_data()


def exact_store(folder: Path, data: Dataset = DATA, exact: bool = True) -> SegmentStore:
    """A store of the data's masks, as that of `exact`, or of a segmenter that happens to find the same."""
    record = plan_of("exact").record
    if not exact:
        record = msgspec.structs.replace(record, name="other", exact=False)
    digest = data_sha256(data, exact=exact)
    images = {split: len(getattr(data, split)) for split in SPLITS}
    identity = identity_of(digest, record)
    folder.mkdir()
    writer = SegmentWriter(
        folder,
        SegmentManifest(FORMAT, "masked", digest, data.image_shape, images, 16, record, identity),
        data,
    )
    for split, block in writer.left():
        rows = writer.rows[split]
        rows.write(block, [getattr(data, split).masks[rows.images_of(block)]])
    writer.finish(1.0)
    return SegmentStore.open(folder, data)


def weigh(store: SegmentStore, weights: np.ndarray, name: str = "task", **made_of: object) -> None:
    """Keep these weights for images of the training split."""
    wanted = Weighing(1, name, store.digest, dict(made_of), {"train": len(weights)}, 16)
    with weighing(store, wanted) as rows:
        for block in rows["train"].left():
            part = weights[rows["train"].images_of(block)].astype("<f2")
            rows["train"].write(block, [part])


def test_exact_masks_weigh_the_labelled_object_alone(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s")
    for split in SPLITS:
        masks = getattr(DATA, split).masks
        expected = (masks == 1).reshape(len(masks), 2, 8, 2, 8).mean((2, 4))
        assert np.allclose(block_importance(store, split), expected)


def test_stored_weights_come_back_by_name(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    with pytest.raises(SegmentError, match="nothing has weighed"):
        block_importance(store)
    with pytest.raises(SegmentError, match="`exact` alone"):
        segment_weights(store, by="masks")
    weights = np.random.default_rng(0).random((40, 64)).astype(np.float16)
    weigh(store, weights)
    assert names(store) == ("task",) and np.array_equal(segment_weights(store), weights.astype(np.float32))
    pixels = np.take_along_axis(weights, DATA.train.masks.reshape(40, -1).astype(int), 1).reshape(40, 16, 16)
    expected = pixels.astype(np.float64).reshape(40, 2, 8, 2, 8).mean((2, 4))
    assert np.allclose(block_importance(store), expected, atol=1e-6)
    weigh(store, weights * 0, "none")
    with pytest.raises(SegmentError, match="several weights"):
        segment_weights(store)
    assert not block_importance(store, by="none").any()
    with pytest.raises(SegmentError, match="not finished"):
        segment_weights(store, "val", "task")


def test_weights_for_fewer_images_give_importance_of_those(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    weigh(store, np.ones((20, 64)))
    assert block_importance(store).shape == (20, 2, 2)
    weigh(store, np.ones((40, 64)))
    assert block_importance(store).shape == (40, 2, 2)


def test_weights_of_something_else_are_made_anew(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    weigh(store, np.ones((40, 64)), network="first")
    weigh(store, np.zeros((40, 64)), network="second")
    assert not segment_weights(store).any()


def test_a_stopped_weighing_goes_on(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    wanted = Weighing(1, "task", store.digest, {}, {"train": 40}, 16)
    with pytest.raises(KeyboardInterrupt), weighing(store, wanted) as rows:
        rows["train"].write(1, [np.ones((16, 64), "<f2")])
        raise KeyboardInterrupt
    assert names(store) == ()
    with pytest.raises(SegmentError, match="not finished"):
        stored_weights(store, "train", "task")
    with weighing(store, wanted) as rows:
        assert rows["train"].left() == [0, 2]
        for block in rows["train"].left():
            rows["train"].write(block, [np.zeros((len(rows["train"].images_of(block)), 64), "<f2")])
    assert stored_weights(store, "train", "task").sum() == 16 * 64


def test_a_weighing_that_ends_too_early_does_not_count(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    with (
        pytest.raises(SegmentError, match="missing"),
        weighing(store, Weighing(1, "task", store.digest, {}, {"train": 40}, 16)),
    ):
        pass
    assert names(store) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_weights_outside_0_to_1_are_refused(tmp_path: Path, value: float) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    weights = np.ones((40, 64))
    weights[7, 7] = value
    weigh(store, weights)
    with pytest.raises(SegmentError, match="not 0 to 1"):
        segment_weights(store)


def test_damaged_weights_and_manifests_are_found(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    weigh(store, np.ones((40, 64)))
    folder = place(store, "task")
    content = bytearray((folder / "train-weights.f16").read_bytes())
    content[3] ^= 1
    (folder / "train-weights.f16").write_bytes(content)
    with pytest.raises(SegmentError, match="damaged"):
        segment_weights(store)
    for bad in (b"", b"{}", b'{"format": 9}', b"\xff", b"[" * 100_000):
        (folder / MANIFEST).write_bytes(bad)
        with pytest.raises(SegmentError, match="damaged"):
            load_weighing(folder)
    assert names(store) == ()


def test_weights_of_other_segments_are_refused(tmp_path: Path) -> None:
    store = exact_store(tmp_path / "s", exact=False)
    weigh(store, np.ones((40, 64)))
    folder = place(store, "task")
    msgspec.structs.replace(load_weighing(folder), segments="0" * 64).save(folder)
    with pytest.raises(SegmentError, match="other segments"):
        segment_weights(store)
