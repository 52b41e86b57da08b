"""Training without a task network: the loss by hand, switches, resume, what a run leaves, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from keras import ops  # noqa: E402

from fakes.teacher_answers import MadeAnswers  # noqa: E402
from fakes.training_runs import QUIET, StopAfter, bars, weights  # noqa: E402
from semflash.cli.main import main  # noqa: E402
from semflash.codecs.own_training import Bench  # noqa: E402
from semflash.codecs.registry import create, family_of  # noqa: E402
from semflash.codecs.tosc.measuring import Measure  # noqa: E402
from semflash.codecs.tosc.polishing import DeviceNumbers  # noqa: E402
from semflash.codecs.tosc.stages import DistilStage, PolishStage  # noqa: E402
from semflash.codecs.tosc.training import ToscTraining  # noqa: E402
from semflash.codecs.tosc.views import LabelViews  # noqa: E402
from semflash.data.augment import Augmentation  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.data.registry import load_dataset  # noqa: E402
from semflash.errors import TeacherError, TrainingError, UsageError  # noqa: E402
from semflash.export.run import export  # noqa: E402
from semflash.training.alone.run import rates_alone, train_own, trains_alone  # noqa: E402
from semflash.training.codec import train_codec  # noqa: E402
from semflash.training.models import load_run  # noqa: E402
from semflash.training.rates import rates_text  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe  # noqa: E402
from semflash.training.recipes.recipe import CodecRecipe  # noqa: E402

SIZES: dict[str, Any] = {"middle": [[4, 2], [6, 2], [8, 2]], "summary": 8, "decoder_width": 16}
RECIPE = CodecRecipe(
    "bars-tosc",
    family="tosc",
    sizes=SIZES,
    batch=40,
    task_epochs=3,
    task_peak=1e-2,
    ema_decay=0.8,
    distillation_weight=0.7,
    temperature=3.0,
    estimate_noise=0.2,
    augmentation=Augmentation(flip=0.0, shift_px=1),
)
POLISHED = dataclasses.replace(RECIPE, int8_epochs=2)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars(tmp_path_factory.mktemp("bars"), 0)


@pytest.fixture(scope="module")
def data(data_dir: Path) -> Dataset:
    return load_dataset("fashion-mnist", data_dir=data_dir)


def answers(data: Dataset, **more: Any) -> MadeAnswers:
    return MadeAnswers(data.train.labels, **more)


@pytest.fixture(scope="module")
def polished(data_dir: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_own(POLISHED, out, data_dir=data_dir, progress=QUIET, answers=answers(data))
    return out


def adapting(seed: int = 3, **sizes: Any) -> Any:
    """A codec whose adaptation is not the identity that it begins as, on both sides."""
    keras.utils.set_random_seed(seed)
    codec = create("tosc", SIZES | {"dropout": 0.0} | sizes)
    rng = np.random.default_rng(seed)
    for layer in (codec.adaptation, codec.decoder.get_layer("adapted")):
        for weight in layer.weights:
            weight.assign(rng.normal(0.0, 0.5, weight.shape))
    return codec


def batch(codec: Any, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    quality = rng.uniform(-6, 18, (12, 1)).astype(np.float32)
    inputs = {
        "image": rng.random((12, 28, 28, 1), dtype=np.float32),
        "quality": quality,
        "told": quality + rng.normal(0, 3, (12, 1)).astype(np.float32),
        "state": rng.integers(0, 8, (12, 1)).astype(np.float32),
        "noise": rng.random((12, *codec.noise_shape()), dtype=np.float32),
        "answer": rng.normal(0, 3, (12, 10)).astype(np.float32),
    }
    shares = rng.random((12, 10)).astype(np.float32) ** 4
    return inputs, shares / shares.sum(axis=1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)))


def labels_and_teacher(
    out: np.ndarray, targets: np.ndarray, answer: np.ndarray, t: float
) -> tuple[float, float]:
    """Cross entropy, and the divergence of the softened answers."""
    teacher = log_softmax(answer / t)
    kl = (np.exp(teacher) * (teacher - log_softmax(out / t))).sum(axis=1).mean()
    return float(-(targets * log_softmax(out)).sum(axis=1).mean()), float(kl)


def loss_by_hand(
    codec: Any, inputs: dict[str, np.ndarray], targets: np.ndarray, share: float, t: float
) -> dict[str, float]:
    """The three terms of L in numpy, from the logits and the sent symbols."""
    values = codec.project(codec.encoder(inputs["image"], training=False), inputs["state"])
    there = codec.link.carry(values, inputs["quality"], inputs["noise"])
    logits = codec.answer(there.received, inputs["told"], inputs["state"])
    out, sent = (np.asarray(ops.convert_to_numpy(x), np.float64) for x in (logits, there.sent))
    ce, kl = labels_and_teacher(out, targets, inputs["answer"], t)
    noise = 0.5 * 10 ** (-inputs["quality"].astype(np.float64) / 10)
    mu, prior = sent.reshape(len(sent), -1), 0.5
    nats = 0.5 * ((mu**2 + noise) / prior + np.log(prior) - np.log(noise) - 1)
    return {
        "labels": (1 - share) * ce,
        "teacher": share * t**2 * kl,
        "bottleneck": codec.sizes.bottleneck * nats.sum(axis=1).mean(),
    }


def loss_of(codec: Any, inputs: dict[str, np.ndarray], targets: np.ndarray, share: float, t: float) -> float:
    stage = DistilStage(codec, share, t)
    found = stage.compute_loss(inputs, targets, stage(inputs, training=False))
    return float(ops.convert_to_numpy(found))


def test_the_loss_is_that_of_labels_teacher_and_bottleneck() -> None:
    """Dropping the teacher's term or the bottleneck's would be seen: each is a good part of the sum."""
    codec = adapting(bottleneck=0.05)
    inputs, targets = batch(codec)
    terms = loss_by_hand(codec, inputs, targets, 0.7, 3.0)
    assert min(terms.values()) > 0.05 * sum(terms.values())
    assert loss_of(codec, inputs, targets, 0.7, 3.0) == pytest.approx(sum(terms.values()), rel=1e-4)
    alone = loss_by_hand(codec, inputs, targets, 0.0, 3.0)
    without = {name: value for name, value in inputs.items() if name != "answer"}
    expected = alone["labels"] + alone["bottleneck"]
    assert loss_of(codec, without, targets, 0.0, 3.0) == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_the_last_stage_is_that_of_labels_and_teacher() -> None:
    codec = adapting()
    inputs, targets = batch(codec)
    inputs["codes"] = np.asarray(ops.convert_to_numpy(codec.codes(inputs["image"], inputs["state"])))
    stage = PolishStage(codec, 0.7, 3.0)
    received = codec.link.resent(inputs["codes"], inputs["quality"], inputs["noise"])
    out = np.asarray(ops.convert_to_numpy(codec.answer(received, inputs["told"], inputs["state"])))
    ce, kl = labels_and_teacher(out, targets, inputs["answer"], 3.0)
    found = float(ops.convert_to_numpy(stage.compute_loss(inputs, targets, stage(inputs, training=False))))
    assert kl > 0.01 and found == pytest.approx(0.3 * ce + 0.7 * 9.0 * kl, rel=1e-4)


def test_both_stages_have_the_teachers_share_of_the_recipe(data: Dataset) -> None:
    for made, share in ((answers(data), 0.7), (None, 0.0)):
        for stage in ToscTraining(bench(data, POLISHED, made)).stages():
            assert (stage.model.share, stage.model.temperature, stage.epochs > 0) == (share, 3.0, True)


def test_without_a_bottleneck_its_term_and_its_prior_are_gone() -> None:
    keras.utils.set_random_seed(3)
    codec = create("tosc", SIZES | {"bottleneck": 0.0})
    inputs, targets = batch(codec)
    terms = loss_by_hand(codec, inputs, targets, 0.7, 3.0)
    assert terms["bottleneck"] == 0.0 and "bottleneck" not in codec.parts()
    assert loss_of(codec, inputs, targets, 0.7, 3.0) == pytest.approx(sum(terms.values()), rel=1e-4)


def test_a_step_moves_the_adaptation_of_both_sides_and_the_prior() -> None:
    keras.utils.set_random_seed(3)
    codec = create("tosc", SIZES)
    stage = DistilStage(codec, 0.7, 3.0)
    stage.compile(optimizer=keras.optimizers.Adam(1e-2))
    adapted = codec.decoder.get_layer("adapted")
    watched = [codec.adaptation.scale.kernel, adapted.scale.kernel, codec.bottleneck.log_prior]
    before = [np.array(ops.convert_to_numpy(weight)) for weight in watched]
    for seed in range(3):
        stage.train_on_batch(*batch(codec, seed))
    for weight, was in zip(watched, before, strict=True):
        assert np.abs(ops.convert_to_numpy(weight) - was).max() > 1e-4


def bench(data: Dataset, recipe: CodecRecipe, made: MadeAnswers | None, **sizes: Any) -> Bench:
    codec = create("tosc", SIZES | sizes)
    return Bench(codec, recipe, data, data.train, made, lambda *_: np.zeros(0), Path(), lambda _: None)


def test_batches_hold_views_with_their_answers_and_a_channel_for_each_image(data: Dataset) -> None:
    made = answers(data)
    recipe = dataclasses.replace(RECIPE, augmentation=Augmentation(flip=0.5, shift_px=4))
    training = ToscTraining(bench(data, recipe, made))
    found = list(training.batches(np.random.default_rng(0)))
    assert len(found) == len(data.train) // 40 and training.teacher_share == 0.7
    (inputs, targets), (indices, views) = found[0], made.asked[0]
    np.testing.assert_array_equal(inputs["answer"], made.table[views, indices])
    partners, shares = made.mixture(indices, views)
    assert 0.1 < (partners != indices).mean() < 0.6
    expected = made.view_images(data.train.images[indices], indices, views, data.train.images[partners])
    np.testing.assert_allclose(inputs["image"] * 255, expected, atol=0.51)  # no shift or mirror on top
    one, own = np.eye(10), data.train.labels[indices]
    mixed = shares[:, None] * one[own] + (1 - shares[:, None]) * one[data.train.labels[partners]]
    np.testing.assert_allclose(targets, mixed, atol=1e-6)
    quality = np.concatenate([x["quality"] for x, _ in found])
    told = np.concatenate([x["told"] for x, _ in found])
    assert quality.min() >= -6 and quality.max() <= 18 and quality.std() > 5
    assert 0.5 < np.std(told - quality) < 1.3  # 0.2 of the logarithm is 0.87 dB
    wrong = np.concatenate([x["state"] for x, _ in found]) - training.draw.state_of(quality)
    assert 0.02 < (wrong != 0).mean() < 0.6 and np.abs(wrong).max() <= 2


def test_without_a_teacher_labels_alone_are_learnt(data: Dataset) -> None:
    training = ToscTraining(bench(data, RECIPE, None))
    assert training.teacher_share == 0.0
    inputs, _ = next(training.batches(np.random.default_rng(0)))
    assert "answer" not in inputs


def test_a_part_of_the_data_is_mixed_with_itself_alone(data: Dataset) -> None:
    """With a store of all images, too, and without a teacher, whose views are of the same kind."""
    recipe = dataclasses.replace(RECIPE, augmentation=Augmentation(flip=0.0, shift_px=0, mix=1.0))
    part = Split(data.train.images[:50], data.train.labels[:50])
    for made in (answers(data), None):
        views = LabelViews(dataclasses.replace(bench(data, recipe, made), train=part))
        indices = np.tile(np.arange(50), 4)
        chosen = views.choose(indices, np.random.default_rng(0))
        partners, shares = views.source.mixture(indices, chosen)
        assert partners.max() < 50 and (partners != indices).any() and shares.min() < 1
        images, targets = views.of(indices, chosen)
        assert images.dtype == np.uint8 and targets.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


class _Later(MadeAnswers):
    """View 2 is mixed with the image 25 places behind."""

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return indices + 25 * (views == 2), np.where(views == 2, 0.75, 1.0).astype("f4")


def test_the_last_stage_on_a_part_of_the_data_sees_no_other_image(data: Dataset) -> None:
    made = _Later(data.train.labels)
    part = Split(data.train.images[:50], data.train.labels[:50])
    views = LabelViews(dataclasses.replace(bench(data, RECIPE, made), train=part))
    indices = np.arange(50)
    assert views.within(indices, np.full(50, 2)).tolist() == [2] * 25 + [0] * 25
    assert (views.within(indices, np.full(50, 1)) == 1).all()
    numbers = DeviceNumbers(views_bench := bench(data, POLISHED, made), ToscTraining(views_bench).draw, views)
    numbers.count = 3
    expected = np.concatenate([views.of(np.arange(25), np.full(25, 2))[0], data.train.images[25:50]])
    numbers.images = 50
    np.testing.assert_array_equal(numbers._view(2), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distillation_weight": 1.5}, "share"),
        ({"temperature": 0.0}, "share"),
        ({"sizes": SIZES | {"classes": 7}}, "7 classes"),
        ({"usage_weight": 0.1}, "usage_weight"),
        ({"xai_weight": 0.1}, "xai_weight"),
        ({"pipeline": "tf.data"}, "tf.data"),
        ({"start": "objects-64"}, "begins at random"),
        ({"polish_epochs": 3}, "does not read this field"),
        ({"feature_weight": 0.5}, "does not read this field"),
        ({"batch": 5_000}, "batch"),
    ],
)
def test_recipes_that_ask_for_what_there_is_not_are_refused(
    changes: dict[str, Any], message: str, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        train_own(dataclasses.replace(RECIPE, **changes), tmp_path, data_dir=data_dir, progress=QUIET)
    assert not (tmp_path / "run.json").exists()


def test_a_teacher_of_other_classes_or_without_a_store_is_refused(
    data: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"gives \(10,\), the teacher \(12,\)"):
        train_own(RECIPE, tmp_path, data_dir=data_dir, progress=QUIET, answers=answers(data, classes=12))
    named = dataclasses.replace(RECIPE, teacher=str(tmp_path))
    with pytest.raises(TeacherError, match="no teacher store"):
        train_own(named, tmp_path / "out", data_dir=data_dir, progress=QUIET)


def test_families_say_whether_they_need_a_task_network(data_dir: Path, tmp_path: Path) -> None:
    assert trains_alone(RECIPE) and not trains_alone(codec_recipe("tiny"))
    assert family_of("semanticnn").training is None
    with pytest.raises(UsageError, match="without a task network"):
        train_codec(RECIPE, tmp_path, tmp_path / "out", data_dir=data_dir, progress=QUIET)
    with pytest.raises(UsageError, match="on top of a task network"):
        train_codec(codec_recipe("tiny"), None, tmp_path / "out", data_dir=data_dir, progress=QUIET)


def test_a_run_leaves_what_the_export_needs(polished: Path, data: Dataset) -> None:
    trained = load_run(polished)
    assert trained.tail is None and trained.info.recipe["teacher"] == "made"
    results, saved = trained.info.results, json.loads((polished / "run.json").read_text())["results"]
    assert results == saved and list(results["val_accuracy"]) == ["18", "12", "6", "0", "-6"]
    assert list(results["int8_val_accuracy"]) == list(results["val_accuracy"])
    assert np.asarray(results["nats"]["18"]).shape == (1, 1, 32)
    again = Measure(trained.codec, data.val).by_level([18.0, -6.0])
    assert again["18"] == pytest.approx(results["val_accuracy"]["18"], abs=0.03)
    history = json.loads((polished / "history.json").read_text())
    assert [one["stage"] for one in history] == ["distil"] * 3 + ["polish"] * 2
    assert {"val_18", "val_6", "val_-6"} <= set(history[0])


def test_a_run_stopped_in_each_stage_resumes_to_the_same_weights(
    polished: Path, data: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    made = answers(data)
    for epochs in (1, 3):  # in the first stage, and behind the first epoch of the second
        with pytest.raises(KeyboardInterrupt):
            train_own(POLISHED, tmp_path, data_dir=data_dir, progress=StopAfter(epochs), answers=made)
    train_own(POLISHED, tmp_path, data_dir=data_dir, progress=QUIET, answers=made)
    expected, found = weights(polished), weights(tmp_path)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key
    with pytest.raises(TrainingError, match="another recipe"):
        train_own(RECIPE, tmp_path, data_dir=data_dir, progress=QUIET, answers=made)


def test_the_last_stage_leaves_the_device_as_it_is(
    polished: Path, data: Dataset, data_dir: Path, tmp_path: Path
) -> None:
    train_own(RECIPE, tmp_path, data_dir=data_dir, progress=QUIET, answers=answers(data))
    before, after = weights(tmp_path), weights(polished)
    for key in before:
        same = np.allclose(before[key], after[key], rtol=1e-4, atol=1e-5)
        assert same != key.startswith("decoder.") or np.size(before[key]) < 20, key


def test_the_export_takes_a_run_as_it_is_and_records_the_teacher(
    polished: Path, data_dir: Path, tmp_path: Path
) -> None:
    bundle = export(polished, tmp_path / "bars.semcodec", data_dir=data_dir, force=True)
    proof = bundle.record.proof
    assert proof is not None and proof.codes_differing == 0
    assert bundle.record.recipe["teacher"]["name"] == "made"
    assert [graph.name for graph in bundle.contract.edge] == ["decoder"] and bundle.record.task_value is None


def test_dropping_values_that_tell_least_keeps_more_than_dropping_those_that_tell_most(data: Dataset) -> None:
    """A codec of two values that tell and thirty that are nearly zero."""
    keras.utils.set_random_seed(0)
    codec = create("tosc", SIZES)
    kernel = np.zeros(codec.projection.kernel.shape, np.float32)
    kernel[..., :2] = np.random.default_rng(0).normal(0, 1, kernel[..., :2].shape)
    codec.projection.kernel.assign(kernel)
    measure = Measure(codec, Split(data.val.images, data.val.labels))
    maps = measure.maps()
    nats = measure.nats(6.0, maps).ravel()
    assert nats[2:].max() < 0.01 and nats[:2].max() > 0.01
    counts = measure.by_kept((32, 2), 6.0, maps)
    assert list(counts) == ["32", "2"] and counts["2"] == pytest.approx(counts["32"], abs=0.25)


def test_what_an_image_costs_is_told_without_features(data_dir: Path) -> None:
    (row,) = rates_alone(RECIPE, data_dir)
    assert (row.payload_bytes, row.against_features, row.against_image) == (32, None, 24.5)
    assert rates_text([row]).splitlines()[1].split()[-2:] == ["-", "24.5x"]
    bits = dataclasses.replace(RECIPE, sizes=SIZES | {"channel": "bits"})
    assert [one.payload_bytes for one in rates_alone(bits, data_dir)] == [12, 4, 8, 16]


def test_train_trains_it_without_a_task_network(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["train_images=160", "task_epochs=1", "int8_epochs=0", "sizes.summary=8", "batch=40"]
    command = ["train", "fashion-mnist-tosc-12", "--data-dir", str(data_dir), "--out", str(tmp_path / "run")]
    command += [part for one in small for part in ("--set", one)]
    assert main([*command, "--quiet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "task" not in told and next(iter(told["results"]["val_accuracy"])) == "0"
    assert not (tmp_path / "run" / "task").exists() and load_run(tmp_path / "run" / "codec").tail is None
    assert main([*command, "--task", str(tmp_path)]) == 2
    assert "without a task network" in capsys.readouterr().err
