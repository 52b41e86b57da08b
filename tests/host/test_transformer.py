"""The task network ``vit``: what its attention is, what is hidden in training, and what it begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from semflash.data.augment import NO_AUGMENTATION
from semflash.data.dataset import Dataset, Split
from semflash.errors import TrainingError
from semflash.tasks.networks import build, clone_tail
from semflash.tasks.residual import build_tail
from semflash.tasks.transformer import (
    CLASS_BLOCK,
    ClassBlock,
    attention_of,
    begin_transformer,
    build_transformer,
)
from semflash.training import task as task_training
from semflash.training.recipes.catalogue import task_recipe
from semflash.training.recipes.recipe import TaskRecipe
from semflash.training.run_dir import save_weights

TINY = TaskRecipe(
    "tiny-vit", network="vit", widths=(4, 4, 8), epochs=1, batch=8, ema_every=1, augmentation=NO_AUGMENTATION
)


@pytest.fixture
def parts() -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(3)
    return build_transformer((16, 24, 3), 5, (4, 4, 8))


def features(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (count, 2, 3, 8)).astype(np.float32)


def sharpened(tail: keras.Model) -> ClassBlock:
    """The class block with large weights, so that its attention is far from even."""
    block = tail.get_layer(CLASS_BLOCK)
    for weight in (block.attention.query.kernel, block.attention.key_value.kernel):
        weight.assign(ops.convert_to_numpy(weight) * 4)
    return block


def test_head_and_tail_have_a_token_for_each_patch_of_eight_pixels(parts: tuple[keras.Model, keras.Model]):
    head, tail = parts
    assert head.output_shape[1:] == (2, 3, 8) and tail.output_shape[1:] == (5,)
    assert tail.layers[-1].name == "logits"


def test_the_attention_is_row_cls_of_the_last_block_without_its_own_column(
    parts: tuple[keras.Model, keras.Model],
):
    _, tail = parts
    block = sharpened(tail)
    tokens = ops.convert_to_numpy(keras.Model(tail.input, block.input)(features())).astype(np.float64)
    weights = {variable.path.split("/")[-2] + "/" + variable.name: variable for variable in block.weights}
    value = {name: ops.convert_to_numpy(variable).astype(np.float64) for name, variable in weights.items()}
    token = ops.convert_to_numpy(block.token).astype(np.float64)
    x = np.concatenate([np.repeat(token, len(tokens), 0), tokens], axis=1)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    x = x * value["before/gamma"] + value["before/beta"]
    query = x[:, 0] @ value["query/kernel"] + value["query/bias"]
    key = (x @ value["key_value/kernel"] + value["key_value/bias"])[..., :8]
    mean = np.zeros((6, 7))
    for head in range(4):  # four heads, two channels each
        scores = np.einsum("bc,bnc->bn", query[:, 2 * head : 2 * head + 2], key[..., 2 * head : 2 * head + 2])
        shares = np.exp(scores / np.sqrt(2.0))
        mean += shares / shares.sum(1, keepdims=True) / 4
    found = ops.convert_to_numpy(attention_of(tail)(features()))
    assert found.shape == (6, 2, 3) and found.std() > 0.02
    np.testing.assert_allclose(found.reshape(6, 6), mean[:, 1:], atol=2e-6)


def test_patches_are_hidden_from_the_token_in_training_alone(parts: tuple[keras.Model, keras.Model]):
    _, tail = parts
    sharpened(tail)
    still = ops.convert_to_numpy(tail(features(), training=False))
    assert np.array_equal(still, ops.convert_to_numpy(tail(features(), training=False)))
    drawn = [ops.convert_to_numpy(tail(features(), training=True)) for _ in range(3)]
    assert not np.allclose(drawn[0], still) and not np.allclose(drawn[0], drawn[1])
    block = ClassBlock(4, hidden_share=0.25)
    block.build((None, 6, 8))
    hidden = ops.convert_to_numpy(block._hidden(np.zeros((4000, 6, 8), np.float32)))
    assert hidden.shape == (4000, 1, 1, 7) and not hidden[..., 0].any()
    # 24,000 draws: four standard errors are 0.011
    assert abs(hidden[..., 1:].mean() - 0.25) < 0.011


def test_a_tail_without_a_cls_token_has_no_such_attention():
    with pytest.raises(TrainingError, match="no CLS token"):
        attention_of(build_tail((4, 4, 8), 3, (8, 8, 8)))


def test_a_copied_tail_gives_the_same(parts: tuple[keras.Model, keras.Model]):
    _, tail = parts
    there = ops.convert_to_numpy(clone_tail(tail)(features()))
    np.testing.assert_allclose(there, ops.convert_to_numpy(tail(features())), atol=1e-6)


def test_images_that_cannot_be_cut_into_patches_are_refused():
    with pytest.raises(TrainingError, match="multiples of 8"):
        build({"network": "vit", "widths": (4, 4, 8)}, (28, 28, 1), 10)


def test_a_network_of_smaller_images_is_begun_with_and_its_places_are_interpolated(tmp_path: Path):
    small = build_transformer((16, 16, 3), 5, (4, 4, 8))
    large = build_transformer((32, 32, 3), 5, (4, 4, 8))
    ramp = np.arange(2, dtype=np.float32)[:, None, None] * np.ones((2, 2, 8), np.float32)
    small[1].get_layer("patches").places.assign(ramp.reshape(4, 8))
    save_weights(tmp_path, dict(zip(("head", "tail"), small, strict=True)))
    begin_transformer(*large, str(tmp_path / "weights.npz"))
    places = ops.convert_to_numpy(large[1].get_layer("patches").places).reshape(4, 4, 8)
    # Centres of the larger grid's cells lie a quarter and three quarters between those of the smaller one.
    assert places[:, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0] and np.ptp(places, axis=1).max() == 0
    for before, after in zip(small[0].weights, large[0].weights, strict=True):
        assert np.array_equal(ops.convert_to_numpy(before), ops.convert_to_numpy(after))
    with pytest.raises(TrainingError, match="another network"):
        begin_transformer(*build_transformer((32, 32, 3), 5, (4, 4, 12)), str(tmp_path / "weights.npz"))


def test_what_a_recipe_begins_with_is_trained_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def data(side: int) -> Dataset:
        rng = np.random.default_rng(side)
        labels = np.arange(16, dtype=np.int32) % 2
        images = (rng.integers(0, 60, (16, side, side, 3)) + 150 * labels[:, None, None, None]).astype(
            np.uint8
        )
        split = Split(images, labels)
        return Dataset(f"side-{side}", split, split, split, ("dark", "bright"))

    def loaded(name: str, **_: object) -> Dataset:
        return data(16 if name == "easy" else 32)

    monkeypatch.setattr(task_training, "load_dataset", loaded)
    monkeypatch.setattr(task_training, "task_recipe", lambda _: replace(TINY, name="easy", dataset="easy"))
    recipe = replace(TINY, dataset="hard", first="easy", seed=5)
    trained = task_training.train_task_network(recipe, tmp_path)
    before = task_training.load_task(tmp_path / "first")
    assert before.info.dataset == "easy" and before.info.seed == 5
    assert trained.info.recipe["weights"] == "weights.npz" and trained.info.recipe["first"] == "easy"
    # Two steps at a small learning rate leave the first kernel near the one that it began with.
    first, then = (ops.convert_to_numpy(one.head.weights[0]) for one in (before, trained))
    assert 0 < np.abs(first - then).max() < 0.05 < np.abs(first).max()
    again = task_training.load_task(tmp_path)
    np.testing.assert_allclose(
        again.logits(data(32).val.images), trained.logits(data(32).val.images), atol=1e-5
    )


def test_the_recipe_of_the_scenes_begins_with_items_of_the_same_network():
    scenes = task_recipe("fashion-scenes-vit")
    first = task_recipe(scenes.first)
    assert first.dataset == "fashion-items" and scenes.dataset == "fashion-scenes"
    assert (first.network, first.widths) == (scenes.network, scenes.widths) == ("vit", (24, 32, 64))
