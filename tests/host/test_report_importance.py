"""Importance maps of the report: integrated gradients of the bundle's own tail, or occlusion, and which."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import TrainingError
from semflash.report import importance as report_importance
from semflash.report.importance import STEPS, gradient_maps, importance, occlusion

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
LABELS = np.array([3, 0, 9], np.int32)


def decoded(bundle: Bundle, count: int) -> tuple[EdgeDecoder, np.ndarray]:
    """A decoder and the features it makes of noise."""
    images = np.random.default_rng(3).integers(0, 256, (count, *bundle.image_shape), np.uint8)
    decoder = EdgeDecoder(bundle)
    return decoder, decoder.features(GoldenEncoder(bundle).payloads(images), 0.0)


def test_gradients_of_a_linear_tail_are_those_of_the_formula() -> None:
    pytest.importorskip("keras")
    bundle = read_bundle(TINY)
    decoder, features = decoded(bundle, 3)
    size = features.shape[1]
    bias = decoder.classify(np.zeros((1, size), np.float32)).astype(np.float64)
    weights = decoder.classify(np.eye(size, dtype=np.float32)).astype(np.float64) - bias
    truth = np.eye(10)[LABELS]
    slopes = []
    for place in (0.25, 0.75):  # the middles of two steps
        shares = np.exp(place * features @ weights + bias)
        shares /= shares.sum(1, keepdims=True)
        slopes.append((shares - truth) @ weights.T)
    attribution = np.abs(features * np.mean(slopes, 0))
    expected = attribution / attribution.mean(1, keepdims=True)
    found = gradient_maps(bundle, decoder, features, LABELS)
    assert [one.shape for one in found] == [(1, size)] * 3
    assert np.abs(np.concatenate(found) - expected).max() < 1e-3


@pytest.mark.parametrize("name", ["fashion-mnist-48", "stamps-48", "stamps-detect"])
def test_the_tails_of_the_zoo_are_the_same_functions_as_layers(name: str) -> None:
    pytest.importorskip("keras")
    from keras import ops

    from semflash.importing.tflite.layers import keras_model

    bundle = read_bundle(name)
    tail = keras_model(bundle.edge["tail"], "tail", "features")
    features = np.random.default_rng(0).normal(size=(2, *tail.input_shape[1:])).astype(np.float32)
    found = ops.convert_to_numpy(tail(features, training=False))
    assert np.abs(found - EdgeDecoder(bundle).classify(features)).max() < 1e-4


def test_where_keras_is_missing_the_maps_are_occlusion_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    for name in [name for name in sys.modules if name.startswith("semflash.training.importance")]:
        monkeypatch.delitem(sys.modules, name)
    bundle = read_bundle(TINY)
    decoder, features = decoded(bundle, 2)
    found = importance(bundle, decoder, features, LABELS[:2])
    assert (found.method, found.steps, found.reason) == ("occlusion", None, "keras is not installed")
    assert "by occlusion" in found.text and "no integrated gradients: keras is not installed" in found.text
    assert np.array_equal(found.maps[1], occlusion(decoder, features[1], bundle))


def test_a_tail_that_differs_from_its_layers_is_not_attributed() -> None:
    pytest.importorskip("keras")
    bundle, other = read_bundle("fashion-mnist-24"), read_bundle("fashion-mnist-48")
    decoder, features = decoded(bundle, 2)
    wrong = replace(bundle, files=bundle.files | {bundle.written.task_tail.file: other.edge["tail"]})
    with pytest.raises(TrainingError, match="other values than LiteRT"):
        gradient_maps(wrong, decoder, features, LABELS[:2])
    found = importance(wrong, decoder, features, LABELS[:2])
    assert found.method == "occlusion" and "task tail" in found.reason


def test_with_keras_the_steps_are_those_of_the_paper() -> None:
    pytest.importorskip("keras")
    bundle = read_bundle(TINY)
    decoder, features = decoded(bundle, 3)
    found = importance(bundle, decoder, features, LABELS)
    assert (found.method, found.steps, STEPS, found.reason) == ("integrated gradients", 2, 2, "")
    assert "2 steps" in found.text


def test_occlusion_is_the_drop_of_the_answer_when_a_place_is_put_out() -> None:
    bundle = read_bundle(TINY)
    decoder, features = decoded(bundle, 1)
    found = occlusion(decoder, features[0], bundle)
    assert found.shape == (1, features.shape[1])  # the tiny bundle's features are a vector
    place = int(found.argmax())
    hidden = features.copy()
    hidden[0, place] = 0.0
    logits = decoder.classify(np.concatenate([features, hidden])).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    answer = shares[0].argmax()
    assert found[0, place] == pytest.approx(np.log(shares[0, answer] / shares[1, answer]), abs=1e-4)


def test_occlusion_in_small_batches_is_the_same_and_takes_no_more_than_they(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = read_bundle("stamps-detect")
    decoder, features = decoded(bundle, 1)
    at_once, sizes, classify = occlusion(decoder, features[0], bundle), list[int](), decoder.classify

    def counted(part: np.ndarray) -> np.ndarray:
        sizes.append(part.size)
        return classify(part)

    monkeypatch.setattr(decoder, "classify", counted)
    monkeypatch.setattr(report_importance, "BATCH_VALUES", 7 * features.size)
    np.testing.assert_allclose(occlusion(decoder, features[0], bundle), at_once, atol=1e-4)
    assert max(sizes) == 7 * features.size and sum(sizes) == (1 + 16 * 16) * features.size


@pytest.mark.parametrize("error", [IndexError("buffer"), KeyError(9), AttributeError("None"), TypeError("x")])
def test_a_tail_that_cannot_be_read_as_layers_has_occlusion_and_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = pytest.importorskip("semflash.importing.tflite.layers")

    def damaged(*_: object) -> None:
        raise error

    monkeypatch.setattr(layers, "keras_model", damaged)
    bundle = read_bundle(TINY)
    decoder, features = decoded(bundle, 1)
    found = importance(bundle, decoder, features, LABELS[:1])
    assert found.method == "occlusion" and "does not fit into Keras layers" in found.reason


def test_occlusion_of_a_detector_is_the_drop_of_the_cells_that_say_an_object_is_there() -> None:
    bundle = read_bundle("stamps-detect")
    decoder, features = decoded(bundle, 1)
    found = occlusion(decoder, features[0], bundle)
    assert found.shape == (16, 16)  # 32 x 32 places, two at a time
    hidden = features.copy()
    hidden[0, 10:12, 20:22] = 0.0
    maps = decoder.classify(np.concatenate([features, hidden])).astype(np.float64)[..., :5]
    shares = 1 / (1 + np.exp(-maps))
    there = shares[0] >= min(0.3, shares[0].max())
    assert found[5, 10] == pytest.approx(np.log(shares[0][there] / shares[1][there]).sum(), abs=1e-3)
