"""Detection: boxes, target maps, loss, decoding of peaks, mean average precision, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("pycocotools")

import keras

from semflash.data.augment import Augmentation, Moves
from semflash.data.dataset import Dataset, Split
from semflash.errors import DatasetError, TrainingError
from semflash.outputs.average_precision import mean_average_precision, precision_interval
from semflash.outputs.boxes import NO_OBJECT, padded
from semflash.outputs.detections import decode_maps
from semflash.outputs.kinds import DetectionTask
from semflash.tasks.detector import Detection, build_detector_tail, gaussian_sigma, target_maps
from semflash.tasks.kinds import Classification
from semflash.tasks.registry import kind_of

KIND = Detection(height=8, width=8, stride=4, classes=2)


def boxes_of(*rows: tuple[float, ...]) -> np.ndarray:
    """Boxes (1, M, 6) of one image."""
    return padded([np.array(rows, np.float32).reshape(-1, 6)])


def perfect(targets: np.ndarray, classes: int) -> np.ndarray:
    """Maps of a detector that is sure of every centre and of nothing else."""
    heat = np.where(targets[..., :classes] == 1, 12.0, -12.0)
    return np.concatenate([heat, targets[..., classes:-1]], -1).astype(np.float32)


def test_a_box_becomes_a_peak_its_log_size_and_its_place_in_the_cell():
    # 10 x 6 pixels, centre (17, 11): cell (4, 2) of 4 pixels, 0.25 and 0.75 into it
    maps = target_maps(boxes_of((12, 8, 22, 14, 1, 0)), KIND)[0]
    assert maps.shape == (8, 8, 7)
    assert np.argwhere(maps[..., 1] == 1).tolist() == [[2, 4]] and not maps[..., 0].any()
    assert maps[2, 4, 2:] == pytest.approx([math.log(2.5), math.log(1.5), 0.25, 0.75, 1], abs=1e-6)
    assert maps[..., -1].sum() == 1
    # the smaller side is 1.5 cells: shifted by 1.5 x 0.3 / 1.7 it keeps an IoU of 0.7
    sigma = (2 * 1.5 * 0.3 / 1.7 + 1) / 6
    assert maps[2, 5, 1] == pytest.approx(math.exp(-1 / (2 * sigma**2)), rel=1e-4)
    assert gaussian_sigma(1.5) == pytest.approx(sigma)


def test_ignored_objects_are_not_learnt():
    maps = target_maps(boxes_of((0, 0, 8, 8, 0, 1), (16, 16, 24, 24, 0, 0)), KIND)
    assert maps[..., -1].sum() == 1 and maps[0, 5, 5, -1] == 1


@pytest.mark.parametrize("seed", range(20))
def test_decoding_the_target_maps_gives_the_boxes_back(seed: int):
    rng = np.random.default_rng(seed)
    low = np.array([[0, 0], [16, 16]]) + rng.uniform(0, 12, (2, 2))
    rows = np.concatenate([low, low + rng.uniform(2, 4, (2, 2)), [[0, 0], [1, 0]]], 1)
    (found,) = decode_maps(perfect(target_maps(boxes_of(*rows), KIND), 2), KIND.task, 2)
    assert found[found[:, 4].argsort(), :5] == pytest.approx(rows[:, :5], abs=1e-3)
    assert found[:, 5] == pytest.approx(1, abs=1e-4)


def test_only_the_peak_of_a_neighbourhood_is_an_object_and_each_class_has_its_own():
    task = DetectionTask(8, 8, 4, 3, 0.1, 10)
    maps = np.full((1, 8, 8, 6), -9.0, np.float32)
    maps[..., 2:] = 0
    maps[0, 3, 3, 0], maps[0, 3, 4, 0], maps[0, 3, 4, 1], maps[0, 6, 6, 1] = 2.0, 1.5, 1.0, -2.5
    (found,) = decode_maps(maps, task, 2)
    assert found[:, 4].tolist() == [0, 1]  # 1.5 is no peak, and -2.5 is a score of 0.076
    assert found[0, :4].tolist() == [10, 10, 14, 14]
    assert found[:, 5] == pytest.approx(1 / (1 + np.exp([-2.0, -1.0])), abs=1e-6)


def test_boxes_are_cut_at_the_border_and_limited_in_number():
    maps = np.zeros((1, 8, 8, 6), np.float32)
    maps[0, ::2, ::2, 0] = 3 + np.arange(16).reshape(4, 4)
    maps[..., 2:4] = 100.0
    (found,) = decode_maps(maps, DetectionTask(8, 8, 4, 3, 0.6, 5), 2)
    assert len(found) == 5 and (found[:, :4] == [0, 0, 32, 32]).all()
    assert (np.diff(found[:, 5]) <= 0).all()


def reference_loss(targets: np.ndarray, maps: np.ndarray, classes: int) -> float:
    """Equation 1 of the paper and the L1 terms, cell by cell."""
    total, objects = 0.0, targets[..., -1].sum()
    for target, values in zip(targets.reshape(-1, classes + 5), maps.reshape(-1, classes + 4), strict=True):
        for wanted, logit in zip(target[:classes], values[:classes], strict=True):
            p = 1 / (1 + math.exp(-logit))
            if wanted == 1:
                total -= (1 - p) ** 2 * math.log(p)
            else:
                total -= (1 - wanted) ** 4 * p**2 * math.log(1 - p)
        if target[-1]:
            error = abs(values[classes:] - target[classes:-1])
            total += 0.5 * error[:2].sum() + error[2:].sum()
    return total / objects


def test_the_loss_is_the_papers_focal_loss_and_l1_per_object():
    rng = np.random.default_rng(0)
    boxes = np.concatenate(
        [boxes_of((2, 3, 12, 11, 0, 0), (18, 20, 30, 29, 1, 0)), boxes_of(*[(8, 8, 20, 26, 1, 0)] * 2)]
    )
    targets, maps = target_maps(boxes, KIND), rng.normal(0, 2, (2, 8, 8, 6)).astype(np.float32)
    assert float(KIND.loss(targets, maps)) == pytest.approx(reference_loss(targets, maps, 2), rel=1e-4)
    per_image = keras.ops.convert_to_numpy(KIND.per_image_loss(targets, maps))
    assert per_image.shape == (2,)
    assert per_image.mean() == pytest.approx(float(KIND.loss(targets, maps)), rel=1e-5)


def test_distillation_is_zero_for_the_teacher_and_grows_with_the_distance():
    rng = np.random.default_rng(1)
    targets = target_maps(boxes_of((2, 3, 12, 11, 0, 0)), KIND)
    teacher = rng.normal(0, 2, (1, 8, 8, 6)).astype(np.float32)
    near, far = (float(KIND.distillation(targets, teacher + by, teacher, 2.0)) for by in (0.1, 1.0))
    assert float(KIND.distillation(targets, teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-5)
    assert 0 < near < far


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_targets_follow_a_mirrored_and_shifted_image(flip: float):
    images = np.zeros((16, 32, 32, 3), np.uint8)
    images[:, 8:16, 4:10] = 255
    labels = np.repeat(boxes_of((4, 8, 10, 16, 1, 0)), 16, 0)
    moved, targets = KIND.batch(images, labels, Augmentation(flip, 3), np.random.default_rng(0))
    lefts = set()
    for image, found in zip(moved, decode_maps(perfect(targets, 2), KIND.task, 2), strict=True):
        rows, columns = np.nonzero(image[..., 0])
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert found[0, :4] == pytest.approx(seen, abs=1e-3)
        lefts.add(int(columns.min()))
    assert len(lefts) > 3


def test_an_object_that_is_mostly_shifted_out_is_ignored():
    labels = boxes_of((0, 0, 8, 8, 0, 0), (10, 10, 20, 20, 1, 0))
    moves = Moves(np.zeros(1, bool), down=np.array([0]), right=np.array([-7]))
    targets = KIND.targets(labels, moves, (32, 32))
    assert targets[..., -1].sum() == 1 and targets[0, 3, 2, -1] == 1


def test_average_precision_of_a_case_counted_by_hand():
    """Right, wrong, right: precision 1 up to recall 0.5, then 2/3; COCO reads it at 101 recalls."""
    truth = boxes_of((0, 0, 10, 10, 0, 0), (20, 20, 30, 30, 0, 0))
    found = np.array([[0, 0, 10, 10, 0, 0.9], [10, 10, 14, 14, 0, 0.8], [20, 20, 30, 28, 0, 0.7]], np.float32)
    assert mean_average_precision(truth, [found], 3) == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)
    # at IoU 0.5 a box of less than half does not count: one of two found, precision 1
    found[2, 3] = 24
    assert mean_average_precision(truth, [found], 3) == pytest.approx(51 / 101, abs=1e-6)


def test_an_ignored_object_is_neither_missed_nor_found_by_mistake():
    truth = boxes_of((0, 0, 10, 10, 0, 0), (20, 20, 30, 30, 0, 1))
    found = np.array([[0, 0, 10, 10, 0, 0.5], [20, 20, 30, 30, 0, 0.9]], np.float32)
    assert mean_average_precision(truth, [found], 1) == pytest.approx(1.0)
    assert mean_average_precision(truth, [found[:1]], 1) == pytest.approx(1.0)


def test_the_mean_is_taken_over_the_classes_that_occur():
    truth = boxes_of((0, 0, 10, 10, 0, 0), (20, 20, 30, 30, 2, 0))
    found = np.array([[0, 0, 10, 10, 0, 0.5], [20, 20, 30, 30, 1, 0.9]], np.float32)
    assert mean_average_precision(truth, [found], 4) == pytest.approx(0.5)


def test_the_interval_holds_the_value_and_narrows_with_certainty():
    rng = np.random.default_rng(0)
    truth = np.repeat(boxes_of((4, 4, 14, 14, 0, 0)), 60, 0)
    right = [np.array([[4, 4, 14, 14, 0, 0.9]], np.float32)] * 60
    assert precision_interval(truth, right, 1) == pytest.approx((1.0, 1.0, 1.0))
    some = [rows if rng.random() < 0.5 else rows[:0] for rows in right]
    value, low, high = precision_interval(truth, some, 1, seed=3)
    assert low < value < high and 0.1 < high - low < 0.4
    assert precision_interval(truth, some, 1, seed=3) == (value, low, high)
    share = np.mean([len(rows) for rows in some])
    assert value == pytest.approx(share, abs=0.02)


def test_no_detection_at_all_has_precision_zero():
    assert mean_average_precision(boxes_of((0, 0, 9, 9, 0, 0)), [np.zeros((0, 6), np.float32)], 2) == 0.0


def test_the_tail_says_by_its_output_layer_which_task_it_is_for():
    tail = build_detector_tail((16, 16, 4), 3, (4, 4, 4))
    assert tail.output_shape == (None, 8, 8, 7)
    assert kind_of(tail, (32, 32, 3)) == Detection(8, 8, 4, 3)
    logits = keras.Sequential([keras.Input((16, 16, 4)), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert isinstance(kind_of(logits, (32, 32, 3)), Classification)
    with pytest.raises(TrainingError, match="neither logits nor the maps"):
        kind_of(tail, (30, 32, 3))


@pytest.mark.parametrize(("features", "widths"), [((12, 16, 4), (4, 4, 4)), ((16, 16, 4), (4, 4))])
def test_sizes_a_detector_cannot_have_are_refused(features: tuple[int, int, int], widths: tuple[int, ...]):
    with pytest.raises(TrainingError, match="three widths"):
        build_detector_tail(features, 2, widths)


def test_networks_refuse_data_of_the_other_kind():
    images, names = np.zeros((4, 32, 32, 3), np.uint8), ("a", "b")
    classes = Split(images, np.zeros(4, np.int32))
    boxes = Split(images, np.full((4, 1, 6), NO_OBJECT, np.float32))
    with pytest.raises(DatasetError, match="needs a data set with boxes"):
        KIND.check(Dataset("plain", classes, classes, classes, names))
    with pytest.raises(DatasetError, match="classifies images, and the data set has boxes"):
        Classification().check(Dataset("boxed", boxes, boxes, boxes, names))
