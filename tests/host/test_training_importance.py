"""Losses against float64 numpy; integrated gradients against their axiom; maps that move with images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from semflash.codecs.layers.quantiser import CentreQuantiser  # noqa: E402
from semflash.codecs.semanticnn.codec import SemanticNN, SemanticNNSizes  # noqa: E402
from semflash.codecs.training_side import StageContext  # noqa: E402
from semflash.data.augment import Augmentation, Moves, augment_and_tell, move_maps  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.errors import TrainingError, UsageError  # noqa: E402
from semflash.tasks import losses  # noqa: E402
from semflash.tasks.kinds import Classification  # noqa: E402
from semflash.tasks.residual import build_head, build_tail  # noqa: E402
from semflash.training import gradients, importance  # noqa: E402
from semflash.training.batches import CodecBatches  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe, comparison, task_recipe  # noqa: E402
from semflash.training.run_dir import RunInfo  # noqa: E402
from semflash.training.stages import LossWeights, TaskStage, weights_of  # noqa: E402
from semflash.training.task import TrainedTask  # noqa: E402
from semflash.training.validation import CodeUsage, Validation  # noqa: E402


def numpy(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


RNG = np.random.default_rng(5)
LOGITS, TEACHER = (RNG.normal(size=(6, 4)).astype(np.float32) for _ in range(2))
LABELS = RNG.integers(0, 4, 6).astype(np.int32)
DECODED, FEATURES = (RNG.normal(size=(6, 5, 3, 2)).astype(np.float32) for _ in range(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_agrees_with_numpy(smoothing: float):
    target = np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    expected = -(target * log_softmax(LOGITS)).sum(-1).mean()
    assert float(losses.cross_entropy(LABELS, LOGITS, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_feature_losses_agree_with_numpy():
    square = (DECODED.astype(np.float64) - FEATURES) ** 2
    assert float(losses.feature_loss(DECODED, FEATURES, 0.7)) == pytest.approx(square.mean() / 0.7, rel=1e-5)
    for shape in ((6, 5, 3, 1), (6, 1, 1, 2)):
        weight = RNG.random(shape).astype(np.float32)
        found = float(losses.weighed_feature_loss(DECODED, FEATURES, weight, 0.7))
        assert found == pytest.approx((weight * square).mean() / 0.7, rel=1e-5)


def test_distillation_agrees_with_numpy():
    teacher, student = log_softmax(TEACHER / 3), log_softmax(LOGITS / 3)
    expected = (np.exp(teacher) * (teacher - student)).sum(-1).mean() * 9
    assert float(losses.distillation(LOGITS, TEACHER, 3.0)) == pytest.approx(expected, rel=1e-5)


def built(levels: int = 4, **arguments: object) -> CentreQuantiser:
    layer = CentreQuantiser(levels, **arguments)
    layer.build((None, 1))
    return layer


def test_the_usage_term_is_the_divergence_of_the_soft_use_from_even_use():
    layer = built()
    x = RNG.normal(size=(7, 3)).astype(np.float32)
    centres = numpy(layer.centres).astype(np.float64)
    scores = -layer.sharpness * np.abs(x[..., None] - centres)
    share = (np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)).reshape(-1, 4).mean(0)
    expected = np.log(4) + (share * np.log(share)).sum()
    assert float(layer.usage_deficit(x)) == pytest.approx(expected, rel=1e-4)
    assert float(layer.usage_deficit(np.full((5, 1), 10.0, np.float32))) > 0.9
    assert float(layer.usage_deficit(centres.astype(np.float32)[:, None])) < 0.02


def test_the_gradient_of_the_usage_term_spreads_a_collapsed_latent():
    layer = built()
    x = np.full((32, 1), 0.33, np.float32) + RNG.normal(size=(32, 1)).astype(np.float32) * 0.05
    gradient = gradients.input_gradient(lambda values, _: layer.usage_deficit(values))
    before = float(layer.usage_deficit(x))
    assert np.abs(numpy(gradient(x, LABELS))).max() > 1e-4
    for _ in range(300):
        x = x - 2.0 * numpy(gradient(x, LABELS))
    after = float(layer.usage_deficit(x))
    assert before > 0.5 and after < 0.5 * before
    assert (
        CodeUsage.of(numpy(layer.codes(x)), 4).used > CodeUsage.of(numpy(layer.codes(x * 0 + 0.33)), 4).used
    )


def test_the_released_usage_term_counts_and_has_no_gradient():
    layer = built()
    x = np.float32([[-1.0], [-0.9], [0.3], [1.0]])  # counts 2, 0, 1, 1 of 4
    expected = np.mean((np.array([2, 0, 1, 1]) / 4 - 0.25) ** 2)
    assert float(layer.counted_usage_error(x)) == pytest.approx(expected, rel=1e-5)
    total = gradients.input_gradient(
        lambda values, _: layer.counted_usage_error(values) + keras.ops.sum(values) * 0.0
    )
    assert (numpy(total(x, LABELS)) == 0).all()


def small_tail() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_tail((6, 5, 3), 4, (6, 8))


def attributed() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    features = np.abs(np.random.default_rng(2).normal(size=(6, 6, 5, 3))).astype(np.float32)
    return small_tail(), features, LABELS


def loss(tail: keras.Model, features: np.ndarray, labels: np.ndarray) -> Any:
    """Loss of each image, (B,)."""
    return Classification().per_image_loss(labels, tail(features, training=False))


def test_integrated_gradients_are_complete():
    tail, features, labels = attributed()
    found = importance.IntegratedGradients(tail, 200)(features, labels).sum(axis=(1, 2, 3))
    expected = numpy(loss(tail, features, labels)) - numpy(loss(tail, features * 0, labels))
    assert found == pytest.approx(expected, abs=0.02 * float(np.abs(expected).max()))
    assert np.abs(expected).max() > 0.05


def test_integrated_gradients_agree_with_differences_of_the_loss():
    tail, features, labels = attributed()
    found = importance.IntegratedGradients(tail, 2)(features, labels)[0]
    step = 1e-2
    for place in ((0, 0, 0), (3, 2, 1), (5, 4, 2)):
        slopes = []
        for share in (0.25, 0.75):
            both = np.repeat(features[:1] * np.float32(share), 2, axis=0)
            both[0][place] += step
            both[1][place] -= step
            up, down = numpy(loss(tail, both, labels[[0, 0]]))
            slopes.append((up - down) / (2 * step))
        assert found[place] == pytest.approx(features[0][place] * np.mean(slopes), rel=0.05, abs=2e-4)


def test_importance_has_mean_one_per_image_and_is_even_where_nothing_matters():
    attribution = RNG.normal(size=(3, 6, 5, 2))
    attribution[1] = 0.0
    pixel, channel = (importance.normalised(attribution, kind) for kind in ("pixel", "channel"))
    assert pixel.shape == (3, 6, 5) and channel.shape == (3, 2)
    assert pixel.mean(axis=(1, 2)) == pytest.approx(1.0, rel=1e-5)
    assert channel.mean(axis=1) == pytest.approx(1.0, rel=1e-5)
    assert (pixel[1] == 1).all()
    size = np.abs(attribution[0]).mean(-1)
    assert pixel[0] == pytest.approx(size / size.mean(), rel=1e-5)


def test_no_step_and_no_backend_are_errors(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="step"):
        importance.IntegratedGradients(small_tail(), 0)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(TrainingError, match="KERAS_BACKEND=torch"):
        gradients.input_gradient(lambda x, y: x)


def teacher_and_images() -> tuple[TrainedTask, Split]:
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 10, 1), dtype=np.uint8)
    split = Split(images, np.arange(20, dtype=np.int32) % 4)
    info = RunInfo.start("task", {}, Dataset("noise", split, split, split, ("a", "b", "c", "d")), 0)
    return TrainedTask(build_head((12, 10, 1), 3), build_tail((6, 5, 3), 4, (6,)), info), split


def test_importance_is_computed_once_per_task_network_and_images(tmp_path: Path):
    teacher, split = teacher_and_images()
    quiet = Progress(quiet=True)
    first = importance.importance_of(teacher, tmp_path, split, 2, "pixel", quiet)
    assert first.shape == (20, 6, 5) and first.dtype == np.float16
    (kept,) = tmp_path.glob("importance-*.npz")
    before = kept.stat().st_mtime_ns
    again = importance.importance_of(teacher, tmp_path, split, 2, "pixel", quiet)
    assert (again == first).all() and kept.stat().st_mtime_ns == before
    teacher.tail.weights[0].assign(numpy(teacher.tail.weights[0]) + 1.0)
    importance.importance_of(teacher, tmp_path, split, 2, "pixel", quiet)
    assert len(list(tmp_path.glob("importance-*.npz"))) == 2


def test_maps_move_as_their_images_do():
    images = np.random.default_rng(3).integers(0, 256, (40, 12, 10, 1), dtype=np.uint8)
    moved, moves = augment_and_tell(images, Augmentation(flip=0.5, shift_px=3), np.random.default_rng(4))
    assert moves.mirrored.any() and len(np.unique(moves.down)) > 3
    whole = move_maps(images[..., 0] / np.float32(255), moves, (12, 10))
    assert whole == pytest.approx(moved[..., 0], abs=1e-6)


def test_a_shift_of_half_a_cell_is_shared_between_two():
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 1, 2] = 1.0
    out = move_maps(maps, Moves(np.array([False]), np.array([1]), np.array([-2])), (8, 8))
    expected = np.zeros((4, 4))
    expected[1, 1] = expected[2, 1] = 0.5
    assert (out[0] == expected).all()


def test_batches_hold_importance_of_mean_one_and_a_told_ber_only_where_asked_for():
    _, split = teacher_and_images()
    recipe = dataclasses.replace(codec_recipe("tiny"), batch=8)
    plain = list(CodecBatches(split, recipe, (2,))(np.random.default_rng(0)))
    assert len(plain) == 2 and set(plain[0][0]) == {"image", "ber", "noise"}
    noisy = dataclasses.replace(recipe, estimate_noise=0.5)
    maps = np.random.default_rng(0).random((20, 6, 5)).astype(np.float16)
    inputs, labels = next(CodecBatches(split, noisy, (2,), maps)(np.random.default_rng(0)))
    assert inputs["importance"].shape == (8, 6, 5, 1) and labels.shape == (8,)
    assert inputs["importance"].mean(axis=(1, 2, 3)) == pytest.approx(1.0, rel=1e-4)
    assert inputs["told"].shape == (8, 1) and (inputs["told"] != inputs["ber"]).any()
    channels = np.random.default_rng(0).random((20, 3)).astype(np.float16)
    assert next(CodecBatches(split, recipe, (2,), channels)(np.random.default_rng(0)))[0][
        "importance"
    ].shape == (8, 1, 1, 3)


def stage(weights: LossWeights) -> tuple[TaskStage, dict[str, np.ndarray], np.ndarray]:
    teacher, split = teacher_and_images()
    sizes = SemanticNNSizes((12, 10, 1), (6, 5, 3), stem=4, middle=(), latent=2, decoder_width=4)
    model = TaskStage(
        SemanticNN(sizes), build_tail((6, 5, 3), 4, (6,)), teacher.head, teacher.tail, 0.5, weights
    )
    rng = np.random.default_rng(1)
    inputs = {
        "image": split.images / np.float32(255),
        "ber": np.full((20, 1), 0.01, np.float32),
        "told": np.full((20, 1), 0.02, np.float32),
        "importance": rng.random((20, 6, 5, 1), dtype=np.float32),
        "noise": rng.random((20, *model.codec.noise_shape()), dtype=np.float32),
    }
    return model, inputs, split.labels


def loss_of(model: TaskStage, inputs: dict[str, np.ndarray], labels: np.ndarray) -> tuple[float, dict]:
    result = model(inputs, training=False)
    return float(model.compute_loss(inputs, labels, result)), result


def test_the_loss_of_stage_2_is_the_sum_of_its_weighed_terms():
    names = ("feature", "distillation", "xai", "usage")
    full = LossWeights(feature=0.1, distillation=0.7, temperature=2.0, xai=0.3, usage=0.2)
    model, inputs, labels = stage(full)
    total, result = loss_of(model, inputs, labels)
    model.loss_weights = LossWeights()
    alone, _ = loss_of(model, inputs, labels)
    assert alone == pytest.approx(float(losses.cross_entropy(labels, result["logits"])), rel=1e-5)
    parts = []
    for name in names:
        model.loss_weights = LossWeights(**{name: getattr(full, name)})
        parts.append(loss_of(model, inputs, labels)[0] - alone)
    assert min(parts) > 1e-3 and total == pytest.approx(alone + sum(parts), rel=1e-4)


def test_a_family_adds_its_own_loss_and_sees_what_the_step_knows(monkeypatch: pytest.MonkeyPatch):
    model, inputs, labels = stage(LossWeights(feature=0.1))
    before, _ = loss_of(model, inputs, labels)
    seen: list[tuple[str, StageContext]] = []

    def own(_: object, name: str, context: StageContext) -> float:
        seen.append((name, context))
        return 3.0

    monkeypatch.setattr(SemanticNN, "stage_loss", own)
    after, _ = loss_of(model, inputs, labels)
    assert after == pytest.approx(before + 3.0, rel=1e-6)
    name, context = seen[0]
    assert name == "task" and context.trace["latent"].shape == (20, 3, 3, 2)
    assert context.importance is inputs["importance"] and context.features.shape == (20, 6, 5, 3)


def test_a_collapse_is_said_once_and_recorded_every_epoch():
    model, inputs, labels = stage(LossWeights())
    codec = model.codec
    codec.quantiser.raw_centres.assign(np.linspace(50, 60, 8, dtype=np.float32))  # all out of reach but one
    lines: list[str] = []
    progress = Progress(quiet=True)
    progress.say = lines.append  # type: ignore[method-assign]
    split = Split((inputs["image"] * 255).astype(np.uint8), labels)
    validation = Validation(codec, model.tail, split, progress)
    first, second = validation.epoch(), validation.epoch()
    assert first["centres_used"] == second["centres_used"] == 1 / 8 and first["usage_bits"] == 0.0
    assert len(lines) == 1 and "usage_weight" in lines[0] and "collapsed" in lines[0]


def test_use_of_codes_is_counted_with_a_floor_under_a_share():
    codes = np.repeat([0, 1, 2, 3], [5000, 4998, 1, 1])
    usage = CodeUsage.of(codes, 4)
    share = np.array([5000, 4998, 1, 1]) / 10_000
    assert usage.used == 0.5 and not usage.collapsed
    assert usage.entropy_bits == pytest.approx(-(share * np.log2(share)).sum())
    assert CodeUsage.of(np.zeros(10, np.int32), 4).collapsed


def test_a_comparison_recipe_has_the_budget_and_keeps_the_method():
    recipe = comparison(codec_recipe("fashion-mnist-48"), seed=3, xai_weight=0.2, sizes={"latent": 4})
    assert (recipe.train_images, recipe.autoencoder_epochs, recipe.task_epochs) == (20_000, 1, 4)
    assert recipe.polish_epochs == 0 and recipe.seed == 3 and weights_of(recipe).xai == 0.2
    assert recipe.sizes["latent"] == 4 and recipe.sizes["decoder_width"] == 32 and recipe.sizes["stem"] == 12
    assert task_recipe("fashion-mnist-small").widths == (16, 32, 64)
