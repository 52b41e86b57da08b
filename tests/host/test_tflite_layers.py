"""Operators of float .tflite graphs as Keras layers: the numbers of TensorFlow, which made the graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from semflash.errors import TrainingError  # noqa: E402
from semflash.importing.tflite.layers import keras_model  # noqa: E402

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow exports")
SHAPE = (1, 4, 6, 5)
X = np.random.default_rng(0).uniform(0.2, 2, SHAPE).astype(np.float32)


def file_of(function: Callable[[Any], Any]) -> bytes:
    concrete = tf.function(function, input_signature=[tf.TensorSpec(SHAPE)]).get_concrete_function()
    data: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return data


def decoding(x: Any) -> Any:
    """What YOLO's decoding and neck are made of, and other ways to write it."""
    low, high, more = tf.split(x, [1, 3, 1], axis=-1)
    left, right = tf.split(x, 2, axis=1)
    up = tf.image.resize(tf.concat([left, right], -1), (4, 18), "nearest")
    powers = tf.pow(high, 1.5) + tf.exp(low) * tf.square(more)
    part = tf.slice(x, [0, 1, 0, 2], [1, 2, 6, 3])
    inner = tf.concat([tf.expand_dims(up[:, ::2, -7:-1, n], -1) for n in (3, 0, 7)], axis=-1)
    found = tf.concat([powers[:, :2], part, inner], axis=1)
    attention = tf.nn.softmax(tf.matmul(found, found, transpose_b=True))
    return tf.matmul(attention, tf.matmul(found, attention, transpose_a=True), transpose_b=True)


def test_slices_splits_powers_and_nearest_enlargement_give_tensorflows_numbers() -> None:
    model = keras_model(file_of(decoding), "tail", "features")
    np.testing.assert_allclose(model(X), decoding(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: tf.image.resize(x, (6, 9), "nearest"), "whole numbers"),
        (lambda x: tf.pow(x, x), "constant power"),
        (lambda x: tf.pow(x, tf.constant([1.0, 2, 3, 4, 5])), "power for each entry"),
        (lambda x: tf.cos(x), "COS"),
        (lambda x: tf.reshape(tf.nn.relu(x), (4, 30)), "RESHAPE of the converted network does not fit"),
    ],
)
def test_what_has_no_layer_is_refused_by_name(function: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(TrainingError, match=text):
        keras_model(file_of(function), "tail", "features")
