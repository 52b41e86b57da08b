"""Boxes of YOLO-like detectors: threshold and suppression, mean average precision, and what is learnt."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("pycocotools")

import keras

from semflash.bundle.checks import check_contract
from semflash.bundle.reader import read_bundle
from semflash.bundle.schema import Contract
from semflash.data.augment import Augmentation, Moves
from semflash.data.dataset import Dataset, Split
from semflash.errors import BundleError, DatasetError, TrainingError, UsageError
from semflash.outputs.anchor_boxes import decode_anchors
from semflash.outputs.boxes import NO_OBJECT, overlap, padded
from semflash.outputs.kinds import AnchorTask, ImageTask
from semflash.tasks.anchor_detector import AnchorDetection, generalised_iou
from semflash.tasks.kinds import Classification
from semflash.tasks.registry import kind_of, kind_of_task
from semflash.training.codec import check_kind
from semflash.training.recipes.catalogue import codec_recipe

TASK = AnchorTask(
    height=48, width=64, anchors=6, score_min=0.1, overlap_max=0.5, candidates_max=50, objects_max=10
)
KIND = AnchorDetection(anchors=6, classes=2, height=48, width=64)


def outputs_of(*rows: tuple[float, ...], anchors: int = 6) -> np.ndarray:
    """Boxes in pixels (centre, sides) with their scores as a tail gives them, (1, anchors, 6)."""
    outputs = np.zeros((1, anchors, 6), np.float32)
    outputs[0, : len(rows)] = rows
    outputs[..., :4] /= np.array([64, 48, 64, 48], np.float32)
    return outputs


def test_outputs_made_by_hand_give_exactly_the_known_boxes() -> None:
    outputs = outputs_of(
        (16, 12, 8, 16, 0.75, 0.0),  # 12..20, 4..20
        (17, 12, 8, 16, 0.5, 0.25),  # suppressed as class 0 (IoU 7/9), kept as class 1
        (56, 40, 32, 32, 0.0, 0.625),  # cut at the border
        (30, 30, 4, 4, 0.09, 0.05),  # below the threshold
    )
    (found,) = decode_anchors(outputs, TASK)
    assert found.dtype == np.float32
    # float32 shares of the height are off by less than a millionth of a pixel
    assert found.astype(np.float64).round(5).tolist() == [
        [12, 4, 20, 20, 0, 0.75],
        [40, 24, 64, 48, 1, 0.625],
        [13, 4, 21, 20, 1, 0.25],
    ]


def by_the_book(outputs: np.ndarray, task: AnchorTask) -> list[list[float]]:
    """Every box of every class in order; kept if no kept one of its class overlaps it too much."""
    size, boxes = np.array([task.width, task.height]), []
    for row in outputs.astype(np.float64):
        low, high = (np.clip((row[:2] + by * row[2:4]) * size, 0, size) for by in (-0.5, 0.5))
        boxes += [[*low, *high, n, score] for n, score in enumerate(row[4:]) if score >= task.score_min]
    boxes = sorted(boxes, key=lambda box: -box[5])[: task.candidates_max]
    kept: list[list[float]] = []
    for box in boxes:
        same = [other for other in kept if other[4] == box[4]]
        if all(overlap(np.array([other]), np.array(box))[0] <= task.overlap_max for other in same):
            kept.append(box)
    return kept[: task.objects_max]


@pytest.mark.parametrize("seed", range(10))
def test_suppression_is_the_greedy_one_per_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0.1, 0.6, (1, 120, 7)).astype(np.float32)
    outputs[..., 4:] = rng.uniform(0, 1, (1, 120, 3)) ** 3
    task = msgspec.structs.replace(TASK, anchors=120, overlap_max=0.4, objects_max=25)
    (found,) = decode_anchors(outputs, task)
    expected = by_the_book(outputs[0], task)
    assert 5 < len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_numbers_that_are_not_finite_and_empty_boxes_are_no_objects() -> None:
    outputs = outputs_of(
        (np.nan, 12, 8, 8, 0.9, 0),
        (16, 12, np.inf, 8, 0.9, 0),
        (16, 12, -8, 8, 0.9, 0),
        (99, 99, 4, 4, 0.9, 0),
        (16, 12, 8, 8, np.nan, 0.9),
        (16, 12, 8, 8, 0.9, -np.inf),
    )
    (found,) = decode_anchors(outputs, TASK)
    assert found.shape == (0, 6)
    hostile = np.full((1, 6, 6), 3e38, np.float32)
    (found,) = decode_anchors(hostile, msgspec.structs.replace(TASK, score_min=0.0))
    assert np.isfinite(found).all()


def test_only_the_best_candidates_are_looked_at() -> None:
    outputs = outputs_of(*[(8 * n + 4, 24, 4, 4, 0.2 + n / 10, 0) for n in range(6)])
    few = msgspec.structs.replace(TASK, candidates_max=3)
    (found,) = decode_anchors(outputs, few)
    np.testing.assert_allclose(found[:, 5], [0.7, 0.6, 0.5], rtol=1e-6)
    (found,) = decode_anchors(outputs, msgspec.structs.replace(few, objects_max=2))
    assert len(found) == 2


BOXES = padded([np.array([[4, 4, 20, 20, 0, 0], [30, 10, 50, 40, 1, 0]], np.float32)])


def test_the_boxes_of_the_labels_have_a_mean_average_precision_of_one() -> None:
    right = outputs_of((12, 12, 16, 16, 0.8, 0), (40, 25, 20, 30, 0, 0.3))
    assert KIND.score(BOXES, right) == pytest.approx(1.0)
    half = outputs_of((12, 12, 16, 16, 0.8, 0), (40, 25, 20, 30, 0.3, 0))
    assert KIND.score(BOXES, half) == pytest.approx(0.5)


def test_generalised_iou_is_that_of_boxes_counted_by_hand() -> None:
    boxes = np.array([[0.5, 0.5, 0.2, 0.4]] * 4, np.float32)
    others = boxes + np.array([[0, 0, 0, 0], [0.1, 0, 0, 0], [0.4, 0, 0, 0], [0, 0, -0.5, 0]], np.float32)
    # same; half shared (1/3, nothing of the hull is empty); apart (hull 0.6 x 0.4); no extent, inside
    expected = [1, 1 / 3, 0 - (0.24 - 0.16) / 0.24, 0]
    found = keras.ops.convert_to_numpy(generalised_iou(boxes, others))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def some_outputs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0.2, 0.6, (2, 6, 6))
    outputs[..., 4:] = rng.uniform(0.01, 0.99, (2, 6, 2))
    return outputs.astype(np.float32)


def test_distillation_is_the_formula_in_the_docstring_and_zero_for_the_teacher() -> None:
    student, teacher = some_outputs(0), some_outputs(1)
    q, p = student[..., 4:].astype(np.float64), teacher[..., 4:].astype(np.float64)
    divergence = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum()
    giou = keras.ops.convert_to_numpy(generalised_iou(student[..., :4], teacher[..., :4]))
    weights = p.max(-1)
    expected = (divergence + 2 * (weights * (1 - giou)).sum()) / weights.sum()
    targets = KIND.targets(BOXES, Moves.none(2), (48, 64))
    assert weights.sum() > 2
    assert float(KIND.distillation(targets, student, teacher, 2.0)) == pytest.approx(expected, rel=1e-4)
    assert float(KIND.distillation(targets, teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-4)
    assert float(KIND.loss(targets, keras.ops.convert_to_tensor(student))) == 0


def test_learning_by_distillation_finds_the_teachers_boxes() -> None:
    teacher = outputs_of((12, 12, 16, 16, 0.9, 0.05), (40, 25, 20, 30, 0.0, 0.8))
    start = outputs_of((20, 20, 10, 10, 0.4, 0.4), (30, 30, 10, 12, 0.4, 0.4), *[(9, 9, 9, 9, 0.4, 0.4)] * 4)
    features = keras.Input((1,))
    values = keras.layers.Reshape((6, 6))(keras.layers.Dense(36, use_bias=True, name="all")(features))
    boxes, scores = values[..., :4], keras.ops.sigmoid(values[..., 4:])
    student = keras.Model(features, keras.ops.concatenate([boxes, scores], -1))
    logits = start.copy()
    logits[..., 4:] = np.log(0.4 / 0.6)
    student.get_layer("all").set_weights([np.zeros((1, 36)), logits.ravel()])
    student.compile(keras.optimizers.Adam(0.03), loss=lambda y, out: KIND.distillation(None, out, y, 1.0))
    student.fit(np.zeros((400, 1)), np.repeat(teacher, 400, 0), batch_size=1, verbose=0)
    found = keras.ops.convert_to_numpy(student(np.zeros((1, 1))))
    np.testing.assert_allclose(found[0, :2, :4], teacher[0, :2, :4], atol=0.03)
    np.testing.assert_allclose(found[0, :, 4:], teacher[0, :, 4:], atol=0.05)
    assert KIND.score(BOXES, found) == pytest.approx(1.0)


def test_batches_need_no_labels_and_the_gradient_of_a_loss_of_labels_is_refused() -> None:
    images = np.zeros((3, 48, 64, 3), np.uint8)
    moved, targets = KIND.batch(images, np.repeat(BOXES, 3, 0), Augmentation(), np.random.default_rng(0))
    assert moved.shape == images.shape and targets.tolist() == [0, 0, 0]
    with pytest.raises(TrainingError, match="no loss of labels") as caught:
        KIND.per_image_loss(targets, some_outputs(0))
    assert "xai_weight=0" in caught.value.remedy


@pytest.mark.parametrize(
    "change", [{"distillation_weight": 0.0}, {"xai_weight": 0.3}, {"xai_code_weight": 0.1}]
)
def test_recipes_that_would_need_such_a_loss_are_refused_before_the_training(
    change: dict[str, float],
) -> None:
    check_kind(codec_recipe("tiny"), KIND)
    with pytest.raises(UsageError, match="no loss of labels") as caught:
        check_kind(replace(codec_recipe("tiny"), **change), KIND)
    assert next(iter(change)) in str(caught.value.value)


def test_a_tail_of_boxes_is_told_by_its_name_and_refuses_other_data() -> None:
    features = keras.Input((3, 4, 3))
    tail = keras.Model(features, keras.layers.Reshape((6, 6), name="boxes")(features))
    assert kind_of(tail, (48, 64, 3)) == KIND
    with pytest.raises(TrainingError, match="neither logits nor the boxes"):
        kind_of(keras.Model(features, keras.layers.Reshape((9, 4), name="boxes")(features)), (48, 64, 3))
    assert kind_of_task(KIND.task, 2) == KIND
    with pytest.raises(TrainingError, match="by no task network"):
        kind_of_task(ImageTask(48, 64, 3), 0)
    unnamed = keras.Model(features, keras.layers.Reshape((6, 6))(features))
    assert isinstance(kind_of(unnamed, (48, 64, 3)), Classification)
    boxed = Split(np.zeros((4, 48, 64, 3), np.uint8), np.full((4, 1, 6), NO_OBJECT, np.float32))
    flat = Split(boxed.images, np.zeros(4, np.int32))
    KIND.check(Dataset("boxed", boxed, boxed, boxed, ("a", "b")))
    for split, names in ((flat, ("a", "b")), (boxed, ("a", "b", "c"))):
        with pytest.raises(DatasetError, match="boxes of 2 classes"):
            KIND.check(Dataset("other", split, split, split, names))


def contract() -> Contract:
    image = read_bundle("stamps-detect").written.input
    task = msgspec.structs.replace(TASK, height=image.height, width=image.width)
    return msgspec.structs.replace(read_bundle("stamps-detect").contract, task=task)


def test_a_contract_with_boxes_is_checked_and_says_what_the_tail_gives() -> None:
    right = contract()
    check_contract(right)
    assert right.output.shape == (6, 4 + len(right.class_names))
    again = msgspec.json.decode(msgspec.json.encode(right), type=Contract)
    assert again == right
    for change, text in (({"width": 32}, "of another image"), ({"anchors": 200_000}, None)):
        task = msgspec.structs.replace(right.task, **change)
        wrong = msgspec.structs.replace(right, task=task)
        if text is None:
            many = [f"class {index}" for index in range(100)]
            wrong, text = msgspec.structs.replace(wrong, class_names=many), "too many numbers"
        with pytest.raises(BundleError, match=text):
            check_contract(wrong)


def test_the_monitor_judges_boxes_like_maps() -> None:
    two = msgspec.structs.replace(contract(), class_names=("brick", "sky"), task=TASK).output
    (reading,) = two.read(outputs_of((12, 12, 16, 16, 0.8, 0), (40, 25, 20, 30, 0, 0.5)))
    judge = two.judge(None, BOXES)
    verdict = judge.judge(reading, 0)
    assert verdict.right and verdict.words == "1 brick, 1 sky"
    assert judge.figures()["map50"] == pytest.approx(1.0)
