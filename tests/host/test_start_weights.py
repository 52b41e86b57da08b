"""The weights that a task network for few images begins with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from semflash.codecs.base import Codec
from semflash.codecs.registry import create, sizes_of
from semflash.codecs.start import begin_codec
from semflash.errors import TrainingError
from semflash.tasks.networks import build, restore
from semflash.tasks.presets import STARTS
from semflash.training.recipes.catalogue import codec_recipe, task_recipe

RECIPE = {"network": "residual", "head_channels": 16, "widths": (16, 32, 64)}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("shape", [(64, 64, 3), (32, 40, 3), (48, 48, 1)])
def test_a_start_fits_every_size_and_grey_images_and_leaves_the_last_layer(
    start: str, shape: tuple[int, int, int]
) -> None:
    (head, tail), (_, other) = (build(RECIPE | {"weights": start}, shape, 5) for _ in range(2))
    plain_head, plain_tail = build(RECIPE, shape, 5)
    for begun, plain in ((head, plain_head), (tail, plain_tail)):
        assert [w.shape for w in begun.weights] == [w.shape for w in plain.weights]
    for one, two in zip(tail.get_weights()[:-2], other.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(tail.get_weights()[-2], other.get_weights()[-2])  # random in both
    assert all(np.isfinite(weight).all() for weight in head.get_weights() + tail.get_weights())


def test_grey_images_give_the_features_of_the_same_images_in_three_channels() -> None:
    grey, _ = build(RECIPE | {"weights": "objects-64"}, (32, 32, 1), 3)
    colour, _ = build(RECIPE | {"weights": "objects-64"}, (32, 32, 3), 3)
    images = np.random.default_rng(0).random((4, 32, 32, 1)).astype(np.float32)
    wanted = np.asarray(colour(np.repeat(images, 3, axis=-1), training=False))
    np.testing.assert_allclose(np.asarray(grey(images, training=False)), wanted, atol=1e-4)


def test_another_network_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="its tail differs") as caught:
        build(RECIPE | {"widths": (32, 64, 128), "weights": "objects-64"}, (32, 32, 3), 3)
    assert "--task-set weights=" in caught.value.remedy
    with pytest.raises(TrainingError, match="its head differs"):
        build(RECIPE | {"head_channels": 8, "weights": "objects-64"}, (32, 32, 3), 3)
    with pytest.raises(TrainingError, match="no weights to begin with"):
        build(RECIPE | {"weights": str(tmp_path / "none.npz")}, (32, 32, 3), 3)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(TrainingError, match="cannot read weights"):
        build(RECIPE | {"weights": str(tmp_path / "bad.npz")}, (32, 32, 3), 3)


def codec_of(shape: tuple[int, int, int], **sizes: object) -> Codec:
    recipe = codec_recipe("photos")
    half = (shape[0] // 2, shape[1] // 2, 16)
    fields = {"image_shape": shape, "feature_shape": half} | recipe.sizes | sizes
    return create("semanticnn", dataclasses.asdict(sizes_of("semanticnn", fields)))


@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 48, 1)])
def test_a_codec_begins_with_a_start_whatever_its_images(shape: tuple[int, int, int]) -> None:
    codec, other = codec_of(shape), codec_of(shape)
    taken, total = begin_codec(codec, "objects-64")
    assert taken == total > 10
    begin_codec(other, "objects-64")
    images = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(codec.codes(images)), np.asarray(other.codes(images)))


def test_with_another_payload_the_rest_of_a_codec_begins_with_the_start() -> None:
    taken, total = begin_codec(codec_of((64, 64, 3), latent=4), "objects-64")
    assert total / 2 <= taken < total


def test_a_codec_of_another_structure_is_refused() -> None:
    with pytest.raises(TrainingError, match="another codec") as caught:
        begin_codec(codec_of((64, 64, 3), stem=5, middle=[[7, 2], [9, 2]], decoder_width=11), "objects-64")
    assert "--set start=" in caught.value.remedy


def test_a_run_is_restored_without_its_start(tmp_path: Path) -> None:
    head, tail = restore(tmp_path, RECIPE | {"weights": "gone.npz"}, (32, 32, 3), 3)
    assert head.output_shape[1:] == tail.input_shape[1:]


def test_the_recipe_for_photographs_begins_with_one_that_fits_it() -> None:
    recipe = task_recipe("photos")
    assert recipe.weights in STARTS and recipe.widths == RECIPE["widths"]
