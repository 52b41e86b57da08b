"""The training of ``lamsc``: what each stage learns and leaves alone, and what is refused before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from semflash.codecs.lamsc.codec import Lamsc
from semflash.codecs.lamsc.sizes import LamscSizes
from semflash.codecs.lamsc.training import LamscTraining
from semflash.codecs.own_training import Bench
from semflash.data.augment import Augmentation
from semflash.data.dataset import Dataset, Split
from semflash.errors import UsageError
from semflash.tasks.networks import build
from semflash.training.recipes.recipe import CodecRecipe

FIELDS: dict[str, Any] = {
    "image_shape": [32, 32, 3],
    "classes": 3,
    "coefficients": 12,
    "level_bits": [0, 8, 24, 48],
    "classifier_head": 4,
    "classifier_widths": [4, 4],
    "restoring_widths": [4, 4, 4],
    "rate_low": 24,
    "rate_default": 40,
}
SIZES = LamscSizes.from_dict(FIELDS)
RECIPE = CodecRecipe(
    "small",
    family="lamsc",
    batch=8,
    autoencoder_epochs=1,
    task_epochs=1,
    polish_epochs=1,
    augmentation=Augmentation(flip=0.5, shift_px=4),
)


def network(widths: tuple[int, ...] = (4, 4), shape: tuple[int, int, int] = (32, 32, 3)) -> Any:
    recipe = {"network": "residual", "head_channels": 4, "widths": widths}
    head, tail = build(recipe, shape, 3)
    return SimpleNamespace(head=head, tail=tail)


def data(count: int = 48, *, masks: bool = True) -> Dataset:
    """Blocks of colour; the labelled object is a bright square in a corner of its own."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noisy = np.clip(coarse + rng.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)
    inside = np.zeros((count, 32, 32), np.uint8)
    for i in range(count):
        y, x = rng.integers(0, 3, 2) * 8
        noisy[i, y : y + 12, x : x + 12] = 200 + rng.integers(0, 55, (12, 12, 3))
        inside[i, y : y + 12, x : x + 12] = 1
    split = Split(noisy, (np.arange(count) % 3).astype(np.int32), masks=inside if masks else None)
    return Dataset("blocks", split, split, split, ("a", "b", "c"))


def bench(**changes: Any) -> Bench:
    keras.utils.set_random_seed(1)
    fields = {
        "codec": Lamsc(SIZES),
        "recipe": RECIPE,
        "data": data(),
        "train": data().train,
        "answers": None,
        "device": lambda *_: pytest.fail("no stage learns from the device"),
        "out": Path("nowhere"),
        "say": lambda _: None,
        "task": network(),
    }
    return Bench(**(fields | changes))


@pytest.fixture(scope="module")
def training() -> LamscTraining:
    made = LamscTraining(bench())
    made.check()
    made.stages()
    return made


def arrays(model: Any) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(weight)) for weight in model.weights]


def test_a_recipe_without_a_task_network_is_refused():
    with pytest.raises(UsageError, match="none is given"):
        LamscTraining(bench(task=None)).check()


def test_a_task_network_of_other_widths_is_refused():
    with pytest.raises(UsageError, match="widths are others"):
        LamscTraining(bench(task=network((8, 4)))).check()


def test_data_without_masks_and_without_segments_is_refused():
    plain = data(masks=False)
    with pytest.raises(UsageError, match="no masks"):
        LamscTraining(bench(data=plain, train=plain.train)).check()


def test_stages_come_in_order_and_begin_in_closed_form(training: LamscTraining):
    codec, task = training.bench.codec, training.bench.task
    names = [each.name for each in training.stages()]
    assert names == ["student", "restoring", "tail"]
    expected = [*arrays(task.head), *arrays(task.tail)]
    assert all(np.array_equal(a, b) for a, b in zip(arrays(codec.classifier), expected, strict=True))
    vectors = codec.tables.matrix()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(12), atol=1e-5)
    given, _ = codec.tables.arrays()
    assert given.sum(axis=1).tolist() == [8, 24, 48]


def test_without_a_restoring_network_there_is_no_such_stage():
    codec = Lamsc(LamscSizes.from_dict(FIELDS | {"restoring": False}))
    made = LamscTraining(bench(codec=codec))
    assert [each.name for each in made.stages()] == ["student", "tail"]


def test_images_and_importance_are_moved_alike(training: LamscTraining):
    # Importance that is bright where the image is: after shift and mirror it must still be.
    images = np.zeros((16, 32, 32, 3), np.uint8)
    inside = np.zeros((16, 32, 32), np.uint8)
    for index in range(16):
        row, column = divmod(index, 4)
        images[index, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
        inside[index, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    made = LamscTraining(bench(train=Split(images, np.zeros(16, np.int32), masks=inside)))
    for moved, found in made.attended(np.random.default_rng(0)):
        share = moved[..., 0].reshape(8, 4, 8, 4, 8).mean((2, 4))
        np.testing.assert_allclose(found, share, atol=0.02)


def test_half_of_what_the_network_restores_is_damaged(training: LamscTraining):
    codec = training.bench.codec
    told, wrong = [], []
    for (scaled, levels, ber, base), wanted in training.damaged(np.random.default_rng(0)):
        assert scaled.shape == (8, 4, 4, 12) and levels.shape == (8, 4, 4) and base.shape == (8, 32, 32, 3)
        assert wanted.shape == (8, 32, 32, 4) and wanted[..., 3].min() > 0
        told.append(ber[:, 0])
        wrong.append(np.square(base - wanted[..., :3]).mean((1, 2, 3)))
        sent = scaled * codec.tables.spread()
        assert not sent[levels == 0].any() and sent[levels > 0].any()
    rates = np.concatenate(told)
    assert 0.2 < (rates == 0).mean() < 0.8 and rates.max() <= codec.sizes.ber.high
    assert rates[rates > 0].min() >= 8e-4


def test_the_tail_sees_pictures_of_the_codec_and_some_whole_images(training: LamscTraining):
    errors = []
    for pictures, labels in training.pictured(np.random.default_rng(3)):
        assert pictures.dtype == np.float32 and len(labels) == 8
        same = np.abs(pictures[:, None] - training.bench.train.images[None] / np.float32(255))
        errors.append(same.mean((2, 3, 4)).min(axis=1))
    assert 0 < np.concatenate(errors).max() < 0.3


@pytest.mark.slow
def test_each_stage_learns_its_part_and_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from semflash.training.alone import run as alone
    from semflash.training.models import load_run

    task = network()
    task.info = SimpleNamespace(recipe={"network": "residual"}, results={})
    monkeypatch.setattr(alone, "load_dataset", lambda *_, **__: data())
    monkeypatch.setattr(alone, "load_task", lambda _: task)
    recipe = replace(RECIPE, sizes=FIELDS, task="blocks")
    trained = alone.train_own(recipe, tmp_path, task_dir="task")
    results = trained.info.results
    assert list(results["val_accuracy"]) == ["293", "159", "100"]
    assert {"psnr", "object_psnr", "auc", "pointing"} <= set(results)
    again = load_run(tmp_path)
    for one, other in zip(trained.codec.parts().values(), again.codec.parts().values(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))
    # Student and closed form are those of a run without the later stages.
    first = alone.train_own(
        replace(recipe, autoencoder_epochs=0, polish_epochs=0), tmp_path / "first", task_dir="task"
    )
    for part in ("student", "tables"):
        now, then = (arrays(run.codec.parts()[part]) for run in (trained, first))
        assert all(np.array_equal(a, b) for a, b in zip(now, then, strict=True))
    # The network learnt something: untrained it adds nothing.
    assert any(each.any() for each in arrays(trained.codec.restorer.get_layer("more")))
