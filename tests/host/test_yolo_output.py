"""Which output is a detector's, its class names, and the parts of tensors that its decoding takes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

import semflash_codegen.operators
from semflash.errors import TrainingError
from semflash.importing.compare import compare
from semflash.importing.device_operators import DEVICE_OPERATORS
from semflash.importing.onnx.output import (
    LOGITS,
    YOLOV5,
    YOLOV8,
    Output,
    canonical,
    canonical_tail,
    check_values,
    choose,
    names_in,
    output_of,
)
from semflash.importing.parts import Parts
from semflash.importing.tflite.slices import Masks, plain_slice, split_slices, strided_slice
from semflash.tasks.keras.config import describe, rebuild
from semflash.tasks.keras.layers import Part, Power, Select


@pytest.mark.parametrize(
    ("shape", "wanted", "classes", "output"),
    [
        ((1, 10), None, None, Output(LOGITS, 10)),
        ((1, 84, 8400), None, None, Output(YOLOV8, 80, 8400)),
        ((1, 25200, 85), None, None, Output(YOLOV5, 80, 25200)),
        ((1, 84, 60), None, 80, Output(YOLOV8, 80, 60)),  # fewer anchors than values: the classes tell
        ((1, 60, 85), None, 80, Output(YOLOV5, 80, 60)),
        ((1, 40, 41), YOLOV8, None, Output(YOLOV8, 36, 41)),
        ((1, 40, 41), YOLOV5, None, Output(YOLOV5, 36, 40)),
        ((1, 300, 6), YOLOV5, 1, Output(YOLOV5, 1, 300)),
        ((1, 5, 8400), None, 1, Output(YOLOV8, 1, 8400)),
    ],
)
def test_the_form_follows_from_the_shape_the_classes_or_what_the_user_says(
    shape: tuple[int, ...], wanted: str | None, classes: int | None, output: Output
) -> None:
    assert output_of(shape, wanted, classes) == output


@pytest.mark.parametrize(
    ("shape", "wanted", "classes", "text"),
    [
        ((1, 40, 41), None, None, "not that of a detector in a form"),
        ((1, 84, 85), None, 80, "does not tell its form"),
        ((1, 300, 6), None, None, "does not tell its form"),  # a suppression inside gives this, too
        ((1, 300, 6), None, 1, "does not tell its form"),
        ((1, 84, 8400), None, 20, "not that of a detector of 20 classes"),
        ((1, 84, 8400), YOLOV5, 80, "not that of a yolov5 of 80 classes"),
        ((1, 4, 60), None, None, "not that of a detector in a form"),
        ((1, 10), YOLOV8, None, "is a vector"),
        ((1, 84, 2_000_000), None, None, "too many boxes"),
    ],
)
def test_an_output_that_is_of_no_form_or_of_two_is_refused_with_a_remedy(
    shape: tuple[int, ...], wanted: str | None, classes: int | None, text: str
) -> None:
    with pytest.raises(TrainingError, match=text) as caught:
        output_of(shape, wanted, classes)
    assert caught.value.remedy


def test_both_forms_become_shares_of_the_image_with_the_classes_in_the_data_sets_order() -> None:
    rows = np.array([[32, 12, 16, 24, 0.5, 0.1, 0.2, 0.9], [8, 6, 4, 2, 0.25, 0.4, 0.8, 0.0]], np.float32)
    v5 = canonical(rows[None], Output(YOLOV5, 3, 2), (48, 64), (2, 0))
    shares = [[0.5, 0.25, 0.25, 0.5], [0.125, 0.125, 0.0625, 1 / 24]]
    np.testing.assert_allclose(v5[0, :, :4], shares, rtol=1e-6)
    np.testing.assert_allclose(v5[0, :, 4:], [[0.45, 0.05], [0.0, 0.1]], rtol=1e-6)
    raw = np.delete(rows, 4, 1).T[None]
    v8 = canonical(raw, Output(YOLOV8, 3, 2), (48, 64), (2, 0))
    np.testing.assert_allclose(v8[0], np.concatenate([shares, [[0.9, 0.1], [0.0, 0.4]]], 1), rtol=1e-6)


@pytest.mark.parametrize("form", [YOLOV8, YOLOV5])
@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (5, 3.5, "no shares"),
        (5, -0.2, "no shares"),
        (4, np.nan, "no shares"),
        (slice(0, 4), 0.9, "no pixels"),
    ],
)
def test_logits_and_boxes_that_are_no_pixels_are_refused_though_their_shape_fits(
    form: str, column: Any, value: float, text: str
) -> None:
    values = 7 + (form == YOLOV5)
    rows = np.full((2, 12, values), 0.5, np.float32)
    rows[..., :4] = 20.0
    output = Output(form, 3, 12)
    check_values(rows.transpose(0, 2, 1) if form == YOLOV8 else rows, output)
    rows[..., column] = value
    with pytest.raises(TrainingError, match=text) as caught:
        check_values(rows.transpose(0, 2, 1) if form == YOLOV8 else rows, output)
    assert "export it with" in caught.value.remedy


@pytest.mark.parametrize("form", [YOLOV8, YOLOV5])
def test_the_tail_gives_that_form_and_its_decoding_is_not_trained(form: str) -> None:
    output, values = Output(form, 3, 12), 7 + (form == YOLOV5)
    features = keras.Input((3, 4, 5))
    x = keras.layers.Reshape((12, values))(keras.layers.Conv2D(values, 1)(features))
    bins = keras.layers.Conv2D(1, 1, use_bias=False, name="bins")
    if form == YOLOV8:
        x = keras.layers.Permute((2, 1))(x)
        x = keras.layers.Reshape((7, 12))(bins(keras.layers.Reshape((7, 12, 1))(x)))
        bins.set_weights([np.zeros((1, 1, 1, 1))])
    raw = keras.Model(features, x)
    tail = canonical_tail(raw, output, (48, 64), (2, 0, 1))
    some = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = canonical(keras.ops.convert_to_numpy(raw(some)), output, (48, 64), (2, 0, 1))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tail(some)), expected, rtol=1e-5, atol=1e-7)
    assert len(tail.trainable_weights) == 2  # of the convolution
    kept = rebuild(describe(tail), "the tail")
    assert len(kept.trainable_weights) == 2 and kept.output_shape == (None, 12, 7)


def test_a_tail_of_another_shape_is_refused() -> None:
    features = keras.Input((3, 4, 5))
    tail = keras.Model(features, keras.layers.Reshape((12, 5))(features))
    with pytest.raises(TrainingError, match="another shape"):
        canonical_tail(tail, Output(YOLOV8, 3, 12), (48, 64), (0, 1, 2))


def test_exchanged_classes_are_found_even_where_the_network_sees_nothing() -> None:
    features = keras.Input((2, 2, 6))
    head, tail = (
        keras.Model(features, features),
        keras.Model(features, keras.layers.Reshape((4, 6))(features)),
    )
    image = np.zeros((1, 2, 2, 6), np.float32)
    image[..., :4], image[..., 4] = 0.5, 255 * 1e-4
    some = image / np.float32(255)
    right = some.reshape(1, 4, 6)
    pieces = {"boxes": slice(0, 4), "scores": slice(4, None)}
    parts = Parts("onnx", "split", head, tail, lambda _: (some, right), pieces=pieces)
    assert compare(parts, head, image, image)["scores_max_difference"] == 0
    parts = replace(parts, expected=lambda _: (some, right[..., [0, 1, 2, 3, 5, 4]]))
    with pytest.raises(TrainingError, match="scores are not those of the original"):
        compare(parts, head, image, image)


def metadata(names: str) -> Any:
    return SimpleNamespace(metadata_props=[SimpleNamespace(key="names", value=names)])


def test_class_names_are_read_out_of_the_metadata_as_data() -> None:
    assert names_in(metadata("{0: 'person', 1: 'bicycle'}")) == ("person", "bicycle")
    assert names_in(metadata("['a', 'b']")) == ("a", "b")
    assert names_in(SimpleNamespace(metadata_props=[])) == ()


@pytest.mark.parametrize(
    "text",
    ["{0: 'a', 2: 'b'}", "__import__('os').getcwd()", "7", "'person'", "(" * 5000, "['a'," * 60_000, "{"],
)
def test_class_names_that_are_no_plain_list_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        names_in(metadata(text))
    assert "--class-names" in caught.value.remedy


def test_classes_of_the_data_set_are_found_by_name_and_a_missing_one_is_named() -> None:
    assert choose(("sky", "person", "brick"), ("brick", "sky")) == (2, 0)
    with pytest.raises(TrainingError, match="does not find") as caught:
        choose(("sky", "person"), ("brick", "sky"))
    assert caught.value.value == "brick" and "sky, person" in caught.value.remedy


X = np.arange(2 * 5 * 6).reshape(1, 2, 5, 6)


def taken(slices: Any) -> np.ndarray:
    layer = Part.from_config(Part(slices).get_config())
    found = keras.ops.convert_to_numpy(layer(X))
    assert layer.compute_output_shape(X.shape) == found.shape
    return found


def test_slices_take_what_numpy_takes() -> None:
    begin, end, strides = np.array([0, 1, 4, -5]), np.array([1, 2, 0, 0]), np.array([1, 1, -2, 2])
    whole = strided_slice(Masks(begin=1, end=9), (begin, end, strides), "x")
    np.testing.assert_array_equal(taken(whole), X[:, 1:2, 4:0:-2, -5::2])
    last = strided_slice(Masks(end=1, shrink_axis=8), (begin, end, np.array([1, 1, -1, 1])), "x")
    np.testing.assert_array_equal(taken(last), X[:, 1:2, 4:0:-1, -5][..., None])
    plain = plain_slice(np.array([0, 0, 2, 1]), np.array([1, -1, 3, 4]), "x")
    np.testing.assert_array_equal(taken(plain), X[:, :, 2:5, 1:5])
    for part, expected in zip(split_slices(-1, [1, 2, 3], 4, "x"), np.split(X, [1, 3], -1), strict=True):
        np.testing.assert_array_equal(taken(part), expected)


def test_slices_along_the_batch_and_those_with_new_axes_are_refused() -> None:
    ones = np.ones(4, int)
    for call in (
        lambda: strided_slice(Masks(), (ones, ones + 1, ones), "x"),
        lambda: plain_slice(ones, ones, "x"),
        lambda: split_slices(0, [1], 4, "x"),
    ):
        with pytest.raises(TrainingError, match="batch"):
            call()
    with pytest.raises(TrainingError, match="new axes"):
        strided_slice(Masks(new_axis=2), (ones, ones + 1, ones), "x")


def test_selected_entries_and_powers_are_those_of_numpy() -> None:
    values = np.array([[1.5, -2.0, 3.0]], np.float32)
    select = Select.from_config(Select((2, 0, 2)).get_config())
    assert keras.ops.convert_to_numpy(select(values)).tolist() == [[3.0, 1.5, 3.0]]
    assert select.compute_output_shape((None, 3)) == (None, 3)
    square, root = Power(2), Power.from_config(Power(0.5).get_config())
    assert keras.ops.convert_to_numpy(square(values)).tolist() == [[2.25, 4.0, 9.0]]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(root(values**2)), np.abs(values), rtol=1e-6)


def test_the_operators_that_the_import_takes_for_the_devices_are_the_code_generators() -> None:
    assert set(semflash_codegen.operators.SUPPORTED) == DEVICE_OPERATORS
