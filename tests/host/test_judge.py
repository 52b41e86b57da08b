"""What the edge says about an image and whether that is right: classifiers and detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.bundle.schema import Contract
from semflash.outputs.kinds import ClassificationTask, DetectionTask
from semflash.outputs.objects import SHOWN_SCORE, ObjectsReading, found_all, shown
from semflash.outputs.output import Array
from semflash.outputs.registry import output_of

CONTRACT = read_bundle(Path(__file__).parents[1] / "vectors" / "tiny.semcodec").contract
DETECTOR = output_of(DetectionTask(4, 4, 7, 3, 0.05, 10), ["cat", "dog"])
CAT, DOG = 0, 1


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def maps_of(*peaks: tuple[int, int, int, float]) -> np.ndarray:
    """Maps (1, 4, 4, 6) with boxes of 7 x 7 pixels at (row, column, class, logit)."""
    maps = np.full((1, 4, 4, 6), -9.0, np.float32)
    maps[..., 2:] = (0.0, 0.0, 0.5, 0.5)
    for row, column, label, logit in peaks:
        maps[0, row, column, label] = logit
    return maps


def read_objects(maps: Array) -> ObjectsReading:
    (reading,) = DETECTOR.read(maps)
    assert isinstance(reading, ObjectsReading)
    return reading


def test_a_classifier_is_read_as_its_largest_logit_and_softmax():
    (reading,) = CONTRACT.output.read(np.log(np.array([[1, 7, 2] + [1e-9] * 7], np.float32)))
    assert reading.number == 1 and reading.confidence == pytest.approx(0.7, abs=1e-6)
    judge = CONTRACT.output.judge(None, np.array([1, 2], np.int32))
    assert [judge.judge(reading, index).right for index in (0, 1)] == [True, False]
    verdict = judge.judge(reading, 1)
    assert verdict.record == {"label": 2, "predicted": 1, "confidence": pytest.approx(0.7)}
    assert (verdict.words, verdict.truth) == CONTRACT.class_names[1:3] and judge.figures() == {}
    assert (verdict.value, judge.number(1)) == (0.0, 2)


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1000.0, 3e4])
def test_the_confidence_does_not_depend_on_how_large_all_logits_are(offset: float):
    """exp(1000) is infinite, exp(-1000) nothing: neither may become a confidence."""
    logits = np.full((1, 10), offset - 60.0, np.float32)
    logits[0, 4], logits[0, 7] = offset, offset - 1.0
    (reading,) = CONTRACT.output.read(logits)
    assert reading.number == 4 and reading.confidence == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)


def test_an_object_of_just_the_score_that_is_shown_is_shown_and_counted(monkeypatch: pytest.MonkeyPatch):
    exact = np.float32(SHOWN_SCORE)
    below = np.nextafter(exact, np.float32(0))
    rows = boxes((0, 0, 7, 7, CAT, exact), (7, 0, 14, 7, DOG, below))
    assert shown(rows).tolist() == rows[:1].tolist()
    monkeypatch.setattr("semflash.outputs.objects.SHOWN_SCORE", 0.5)  # what a logit of 0 gives exactly
    reading = read_objects(maps_of((0, 0, CAT, 0.0), (2, 2, DOG, -0.01)))
    assert reading.objects[0][5] == 0.5
    assert reading.count == 1 and len(shown(reading.objects)) == 1


def test_a_detector_is_read_as_its_objects_of_which_the_certain_ones_count():
    reading = read_objects(maps_of((0, 0, CAT, 3.0), (2, 2, DOG, 0.0), (0, 3, CAT, -2.0)))
    assert reading.count == 2 and reading.confidence == pytest.approx(1 / (1 + np.exp(-3)))
    assert len(reading.objects) == 3 and reading.number is None
    truth = np.stack([boxes((0, 0, 7, 7, CAT, 0), (14, 14, 21, 21, DOG, 0)), boxes(*[(-1,) * 6] * 2)])
    judge = DETECTOR.judge(None, truth)
    found, none = judge.judge(reading, 0), judge.judge(reading, 1)
    assert reading.words == found.words == found.truth == "1 cat, 1 dog" and none.truth == "nothing"
    assert (found.right, none.right) == (True, False) and (found.value, none.value) == (1.0, 0.0)
    assert found.record["boxes"] == [[0, 0, 7, 7, 0, 0], [14, 14, 21, 21, 1, 0]]
    assert [row[:5] for row in found.record["objects"]][:2] == [[0, 0, 7, 7, 0], [14, 14, 21, 21, 1]]


def test_the_figures_are_the_mean_average_precision_and_numbers_of_objects():
    pytest.importorskip("pycocotools")
    truth = np.stack([boxes((0, 0, 7, 7, CAT, 0)), boxes((0, 0, 7, 7, DOG, 0))])
    judge = DETECTOR.judge(None, truth)
    reading = read_objects(maps_of((0, 0, CAT, 3.0)))
    assert [judge.judge(reading, index).right for index in (0, 1)] == [True, False]
    # the cat is found first or second, with a precision of 1 or 1/2 at every recall; the dog never
    figures = judge.figures()
    assert figures["objects"] == figures["objects_shown"] == 2
    assert figures["map50"] in (pytest.approx(0.5), pytest.approx(0.25))


def test_an_image_without_any_object_found_reads_as_nothing():
    reading = read_objects(maps_of())
    assert (reading.count, reading.confidence) == (0, 0.0)
    assert DETECTOR.judge(None, np.full((1, 1, 6), -1, np.float32)).judge(reading, 0).right


TRUTH = boxes((0, 0, 10, 10, CAT, 0), (20, 0, 30, 10, DOG, 0))
FIRST, SECOND = (0, 0, 10, 9, CAT, 0.9), (21, 0, 30, 10, DOG, 0.8)


@pytest.mark.parametrize(
    ("objects", "right"),
    [
        ([FIRST, SECOND], True),
        ([FIRST], False),
        ([FIRST, SECOND, (50, 50, 60, 60, CAT, 0.5)], False),
        ([FIRST, FIRST, SECOND], False),
        ([FIRST, (21, 0, 30, 10, CAT, 0.8)], False),
        ([FIRST, (26, 0, 36, 10, DOG, 0.8)], False),
        ([], False),
    ],
)
def test_an_image_is_right_when_all_objects_and_they_alone_are_found(
    objects: list[tuple[float, ...]], right: bool
):
    assert found_all(TRUTH, boxes(*objects)) is right


def test_an_ignored_object_may_be_found_or_not():
    ignored = np.concatenate([TRUTH, boxes((50, 50, 60, 60, DOG, 1))])
    extra = (50, 50, 60, 60, CAT, 0.9)
    assert found_all(ignored, boxes(FIRST, SECOND)) and found_all(ignored, boxes(FIRST, SECOND, extra))


def test_contracts_without_a_task_are_read_as_classifiers():
    assert isinstance(CONTRACT, Contract) and CONTRACT.task == ClassificationTask()
    assert CONTRACT.output.kind == "labels" and CONTRACT.output.metric.name == "accuracy"
