"""The weights that a task network for few images begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from semflash.errors import TrainingError
from semflash.tasks.networks import build, restore
from semflash.tasks.presets import STARTS
from semflash.training.recipes.catalogue import task_recipe

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


def test_a_run_is_restored_without_its_start(tmp_path: Path) -> None:
    head, tail = restore(tmp_path, RECIPE | {"weights": "gone.npz"}, (32, 32, 3), 3)
    assert head.output_shape[1:] == tail.input_shape[1:]


def test_the_recipe_for_photographs_begins_with_one_that_fits_it() -> None:
    recipe = task_recipe("photos")
    assert recipe.weights in STARTS and recipe.widths == RECIPE["widths"]
