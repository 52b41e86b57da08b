"""The training of ``multires``: what each stage learns and leaves alone, and what is refused before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from fakes.image_folders import folder_of_images
from fakes.training_runs import QUIET
from semflash.codecs.multires.attention import smoothed
from semflash.codecs.multires.codec import Multires
from semflash.codecs.multires.pictures import SHARES, Pictures
from semflash.codecs.multires.sizes import MultiresSizes
from semflash.codecs.multires.training import MultiresTraining, transform_of
from semflash.codecs.own_training import Bench
from semflash.data.augment import Augmentation
from semflash.data.dataset import Dataset, Split
from semflash.data.registry import load_dataset
from semflash.errors import TrainingError, UsageError
from semflash.tasks.attention import attention_maps
from semflash.tasks.transformer import build_transformer
from semflash.training.codec import train_codec
from semflash.training.recipes.recipe import CodecRecipe, TaskRecipe
from semflash.training.run_dir import WEIGHTS_FILE, save_weights
from semflash.training.task import train_task_network

SIZES = MultiresSizes(
    image_shape=(32, 32, 3),
    classes=3,
    level_bits=(0, 8, 24),
    single_bits=(16,),
    classifier_widths=(4, 4, 8),
    residual=8,
)
RECIPE = CodecRecipe(
    "small",
    family="multires",
    batch=8,
    autoencoder_epochs=1,
    task_epochs=1,
    polish_epochs=1,
    augmentation=Augmentation(flip=0.5, shift_px=4),
)


def data(count: int = 24) -> Dataset:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noisy = np.clip(coarse + rng.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)
    split = Split(noisy, (np.arange(count) % 3).astype(np.int32))
    return Dataset("blocks", split, split, split, ("a", "b", "c"))


def bench(**changes: Any) -> Bench:
    keras.utils.set_random_seed(1)
    head, tail = build_transformer((32, 32, 3), 3, (4, 4, 8))
    fields = {
        "codec": Multires(SIZES),
        "recipe": RECIPE,
        "data": data(),
        "train": data().train,
        "answers": None,
        "device": lambda *_: pytest.fail("no stage learns from the device"),
        "out": Path("nowhere"),
        "say": lambda _: None,
        "task": SimpleNamespace(head=head, tail=tail),
    }
    return Bench(**(fields | changes))


@pytest.fixture(scope="module")
def training() -> MultiresTraining:
    made = MultiresTraining(bench())
    made.check()
    return made


def arrays(model: Any) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(weight)) for weight in model.weights]


def test_a_recipe_without_a_task_network_is_refused():
    with pytest.raises(UsageError, match="none is named"):
        MultiresTraining(bench(task=None)).check()


def test_a_task_network_of_other_images_or_widths_is_refused():
    for shape, classes, widths, words in (
        ((64, 64, 3), 3, (4, 4, 8), "other images or classes"),
        ((32, 32, 3), 5, (4, 4, 8), "other images or classes"),
        ((32, 32, 3), 3, (8, 4, 8), "widths are others"),
    ):
        head, tail = build_transformer(shape, classes, widths)
        with pytest.raises(UsageError, match=words):
            MultiresTraining(bench(task=SimpleNamespace(head=head, tail=tail))).check()


def test_stages_come_in_order_and_the_tail_begins_as_the_task_network(training: MultiresTraining):
    stages = training.stages()
    assert [each.name for each in stages] == ["level-8", "level-16", "level-24", "student", "tail"]
    task, codec = training.bench.task, training.bench.codec
    expected = [*arrays(task.head), *arrays(task.tail)]
    assert all(np.array_equal(a, b) for a, b in zip(arrays(codec.classifier), expected, strict=True))
    assert all(float(np.abs(ops.convert_to_numpy(c.start)).max()) > 0 for c in codec.coders.values())


def test_the_student_s_images_and_maps_are_moved_alike(training: MultiresTraining):
    # A map that is bright where the image is: after shift and mirror it must still be.
    images = np.zeros((8, 32, 32, 3), np.uint8)
    maps = np.zeros((8, 4, 4), np.float32)
    for index in range(8):
        row, column = divmod(index, 4)
        images[index, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
        maps[index, row, column] = 1
    made = MultiresTraining(bench(train=Split(images, np.zeros(8, np.int32))))
    made.targets = maps
    ((moved, found),) = made.attended(np.random.default_rng(0))
    share = moved[..., 0].reshape(8, 4, 8, 4, 8).mean((2, 4))
    share = share / np.maximum(share.sum((1, 2), keepdims=True), 1e-6)
    np.testing.assert_allclose(found, share, atol=1e-5)


def test_the_tail_learns_from_every_kind_of_picture(training: MultiresTraining):
    codec = training.bench.codec
    training.stages()
    codec.measured.distortion.assign(np.array([0.08, 0.04, 0.02], np.float32))
    train = data(200).train
    pictures = Pictures(codec, train).of(np.arange(200), np.random.default_rng(0))
    errors = np.square(pictures.astype(float) - train.images).mean((1, 2, 3))
    assert pictures.dtype == np.uint8 and pictures.shape == train.images.shape
    # Whole images are a tenth; four standard errors of 200 draws are 0.085.
    assert abs((errors == 0).mean() - SHARES["whole"]) < 0.085
    assert sum(SHARES.values()) == pytest.approx(1.0) and len(np.unique(errors.round(3))) > 100


def test_patches_of_a_step_are_those_of_the_images(training: MultiresTraining):
    x, y = next(iter(training.patches(np.random.default_rng(0))))
    assert x is y and x.shape == (8 * 16, 192) and x.min() >= 0 and x.max() <= 1


@pytest.mark.slow
def test_each_stage_learns_its_part_and_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from semflash.training.alone import run as alone
    from semflash.training.models import load_run

    task = SimpleNamespace(info=SimpleNamespace(recipe={"network": "vit"}, results={}))
    task.head, task.tail = build_transformer((32, 32, 3), 3, (4, 4, 8))
    monkeypatch.setattr(alone, "load_dataset", lambda *_, **__: data(40))
    monkeypatch.setattr(alone, "load_task", lambda _: task)
    sizes = {"level_bits": [0, 8, 24], "single_bits": [16], "classifier_widths": [4, 4, 8], "residual": 8}
    recipe = replace(RECIPE, sizes=sizes | {"image_shape": [32, 32, 3]}, task="vit")
    trained = alone.train_own(recipe, tmp_path, task_dir="task")
    results = trained.info.results
    assert list(results["val_accuracy"]) == ["1024", "512", "256", "128", "64"]
    assert set(results["mse"]) == {"8", "16", "24"} and "spearman" in results
    assert trained.info.recipe["task_recipe"] == {"network": "vit"}
    distortion = trained.codec.distortion
    assert (np.diff(distortion) < 0).all() and distortion[-1] > 0
    again = load_run(tmp_path)
    for one, other in zip(trained.codec.parts().values(), again.codec.parts().values(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))
    # The coders were trained before the student, whose stage must not have touched them: a run without the
    # later stages has the same ones.
    first = alone.train_own(
        replace(recipe, task_epochs=0, polish_epochs=0), tmp_path / "first", task_dir="task"
    )
    for bits, coder in trained.codec.coders.items():
        before = arrays(first.codec.coders[bits])
        assert all(np.array_equal(a, b) for a, b in zip(arrays(coder), before, strict=True))
    start = replace(
        recipe,
        seed=5,
        autoencoder_epochs=0,
        task_epochs=0,
        polish_epochs=0,
        start=str(tmp_path / "first" / WEIGHTS_FILE),
    )
    begun = alone.train_own(start, tmp_path / "begun", task_dir="task")
    for bits, coder in begun.codec.coders.items():
        before = arrays(first.codec.coders[bits])
        assert all(np.array_equal(a, b) for a, b in zip(arrays(coder), before, strict=True))
    assert begun.info.recipe["start"] == WEIGHTS_FILE  # where it lies concerns nobody


def test_coders_of_another_codec_or_of_no_run_are_refused(tmp_path: Path):
    other = Multires(replace(SIZES, level_bits=(0, 8, 32)))
    save_weights(tmp_path, other.parts())
    for start, words in ((tmp_path / WEIGHTS_FILE, "another codec"), (tmp_path / "none", "no weights")):
        with pytest.raises(TrainingError, match=words):
            MultiresTraining(bench(recipe=replace(RECIPE, start=str(start)))).stages()


def test_a_teacher_s_attention_takes_the_task_network_s_place():
    rng = np.random.default_rng(4)
    maps = rng.random((24, 8, 8)).astype(np.float32)
    maps /= maps.sum(axis=(1, 2), keepdims=True)
    given = SimpleNamespace(train=maps, val=maps[::-1])
    made = MultiresTraining(bench(attention=given, train=Split(data().train.images[:20], np.arange(20) % 3)))
    coarse = maps.reshape(24, 4, 2, 4, 2).sum(axis=(2, 4))
    expected = smoothed(coarse, SIZES.smoothing)
    np.testing.assert_allclose(made.targets, expected[:20], atol=1e-6)
    np.testing.assert_allclose(made.val_attention, expected[::-1].reshape(24, 16), atol=1e-6)


def test_attention_both_ways_round_does_not_tell_left_from_right():
    keras.utils.set_random_seed(3)
    head, tail = build_transformer((32, 32, 3), 3, (4, 4, 8))
    images = data(6).train.images
    one = attention_maps(head, tail, images, rollout=True)
    both = attention_maps(head, tail, images, rollout=True, mirrored=True)
    turned = attention_maps(head, tail, images[:, :, ::-1], rollout=True, mirrored=True)
    other = attention_maps(head, tail, images[:, :, ::-1], rollout=True)[:, :, ::-1]
    np.testing.assert_allclose(turned[:, :, ::-1], both, atol=1e-6)
    # Each way counts by what CLS gives to the patches, which is hardly the same.
    far = np.abs(one - other).max()
    assert np.abs(both - (one + other) / 2).max() < far / 4


def test_a_coder_gives_the_same_for_patches_of_any_number():
    codec = Multires(SIZES)
    for bits, coder in codec.coders.items():
        coder.begin(transform_of(data().train, SIZES.patch).start(bits))
    patches = np.random.default_rng(2).random((130, 192)).astype(np.float32)
    expected = np.clip(ops.convert_to_numpy(codec.coders[24](patches)), 0, 1)
    for count in (0, 1, 64, 130):
        np.testing.assert_allclose(codec.coded[24](patches[:count]), expected[:count], atol=2e-6)


# Folders of images, which have no masks


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos") / "photos"
    return folder_of_images(place, classes=3, train=16, test=4, side=32)


@pytest.mark.slow
def test_a_folder_of_images_without_masks_is_learnt_and_measured(photos: Path, tmp_path: Path):
    task = TaskRecipe(
        "photos-vit",
        dataset=str(photos),
        network="vit",
        widths=(4, 4, 8),
        image_size=32,
        epochs=1,
        batch=16,
        augmentation=Augmentation(flip=0.5, shift_px=2),
    )
    train_task_network(task, tmp_path / "task", progress=QUIET)
    sizes = {"image_shape": [32, 32, 3], "level_bits": [0, 8, 24], "single_bits": [16]}
    recipe = replace(
        RECIPE,
        dataset=str(photos),
        task="photos-vit",
        sizes=sizes | {"classifier_widths": [4, 4, 8], "residual": 8},
    )
    trained = train_codec(recipe, tmp_path / "task", tmp_path / "codec", progress=QUIET)
    assert set(trained.info.results["val_accuracy"]) == {"1024", "512", "256", "128", "64"}
    loaded = load_dataset(photos, image_size=(32, 32))
    assert loaded.test.cover is None
    images = np.asarray(loaded.test.images[:])
    levels = trained.codec.levels_for(images, 24)
    pictures = trained.codec.pictures(images, levels)
    assert pictures.shape == images.shape and levels.any() and (levels < 2).any()
    # closer than the mean colour of each image, which is what arrives of no patch
    grey = np.square(images / 255 - (images / 255).mean((1, 2), keepdims=True)).mean()
    assert np.square(trained.codec.pictures(images, np.full_like(levels, 2)) - images / 255).mean() < grey


def test_a_folder_without_a_task_network_says_what_is_missing(photos: Path, tmp_path: Path):
    sizes = {"image_shape": [32, 32, 3], "classifier_widths": [4, 4, 8], "residual": 8}
    recipe = replace(RECIPE, dataset=str(photos), sizes=sizes)
    with pytest.raises(UsageError, match="learns from the attention of a task network") as raised:
        train_codec(recipe, None, tmp_path / "codec", progress=QUIET)
    assert "--task DIR" in str(raised.value.remedy)


def test_coders_may_learn_the_task_network_s_features_which_stay_as_they_are():
    made = bench(codec=Multires(replace(SIZES, coder_features=300.0)))
    training = MultiresTraining(made)
    stage = training.stages()[2].model
    head, coder = made.task.head, made.codec.coders[24]
    before, (x, y) = arrays(head), next(iter(training.images(np.random.default_rng(0))))
    # as many patches as the squared error is learnt from: 16 of each of 8 images
    assert x is y and x.shape == (8, 32, 32, 3)
    found = made.codec.reconstruct(x, coder)
    wanted, given = (ops.convert_to_numpy(head(each, training=False)) for each in (y, found))
    error = np.square(255 * (y - ops.convert_to_numpy(found))).mean()
    features = np.square(wanted - given).mean() / np.square(wanted).mean()
    loss = float(stage.compute_loss(y=y, y_pred=stage(x)))
    assert loss == pytest.approx(error + 300 * features, rel=1e-3) and features > 0
    stage.compile(optimizer=keras.optimizers.Adam(3e-3))
    losses = [float(stage.train_on_batch(x, y)) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert all(np.array_equal(a, b) for a, b in zip(arrays(head), before, strict=True))
    with pytest.raises(UsageError, match="coder_features at least 0"):
        replace(SIZES, coder_features=-1.0)
