"""Layer names shown to people: short, telling, unique."""

from __future__ import annotations

import pytest

from codegen.golden import load
from semflash_codegen.names import layer_name, unique
from semflash_codegen.tflite_reader import read_model


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("functional_1/conv2d_1/Relu;functional_1/conv2d_1/convolution", "conv2d_1"),
        ("model/conv2d/BiasAdd;model/conv2d_2/Conv2D;model/conv2d/Conv2D1", "conv2d"),
        ("model/activation/Relu;model/batch_normalization/FusedBatchNormV3;model/dense/BiasAdd", "dense"),
        ("model/activation_2/Relu;model/add/add", "add"),
        ("functional_1/block_3/depthwise/depthwise", "depthwise"),
        ("functional_1/re_lu_1/Relu6", "re_lu_1"),
        ("serving_default_keras_tensor_4:0", "keras_tensor_4"),
        ("StatefulPartitionedCall_1:0", "softmax"),
        ("Identity_int8", "softmax"),
        ("", "softmax"),
        (";;//;", "softmax"),
        ("my_layer", "my_layer"),
    ],
)
def test_a_tensor_is_called_after_its_layer(text: str, name: str) -> None:
    assert layer_name(text, "softmax") == name


def test_names_that_occur_twice_get_numbers_and_never_collide() -> None:
    names = unique(["a", "a", "a_2", "a", "b"])
    assert names[0] == "a" and names[2] == "a_2" and names[4] == "b"
    assert len(set(names)) == len(names)


def test_thousands_of_equal_names_take_no_time() -> None:
    assert len(set(unique(["x"] * 4096))) == 4096


def test_the_layers_of_a_model_have_short_unique_names() -> None:
    model = read_model(load("mobile"))
    names = [model.tensors[op.outputs[0]].name for op in model.operators]
    assert len(set(names)) == len(names)
    assert all(len(name) < 30 and "/" not in name and ";" not in name for name in names)
    assert "conv2d" in names[0] and "add" in " ".join(names)
