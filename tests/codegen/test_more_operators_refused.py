"""What the operators beyond the first set refuse: by layer, with the value, never with wrong code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codegen.batch import build_batch
from codegen.golden import request_for, tflm
from codegen.graph_builder import GraphBuilder
from semflash_codegen import CodegenError, generate

Q = (0.05, -3)
SHAPE = (1, 4, 5, 3)


def graph() -> GraphBuilder:
    """A graph whose image is (1, 4, 5, 3)."""
    return GraphBuilder(SHAPE, Q)


def int8(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    """A constant of ones."""
    return np.ones(shape, np.int8)


def mean_in_pieces() -> bytes:
    g = GraphBuilder((1, 16), Q)
    image = g.operator("RESHAPE", [g.source], g.activation((2, 2, 2, 2), Q), "Reshape")
    axes = g.constant(np.array([0, 2], np.int32))
    mean = g.operator("MEAN", [image, axes], g.activation((2, 2), Q), "Reducer", keepDims=False)
    return g.finish(g.operator("RESHAPE", [mean], g.activation((1, 4), Q), "Reshape"))


def mean_outside() -> bytes:
    g = graph()
    axes = g.constant(np.array([4], np.int32))
    return g.finish(g.operator("MEAN", [g.source, axes], g.activation(SHAPE, Q), "Reducer", keepDims=True))


def mean_of_a_wrong_shape() -> bytes:
    g = graph()
    axes = g.constant(np.array([1, 2], np.int32))
    return g.finish(g.operator("MEAN", [g.source, axes], g.activation(SHAPE, Q), "Reducer", keepDims=True))


def softmax_of_another_scale() -> bytes:
    g = graph()
    return g.finish(g.operator("SOFTMAX", [g.source], g.activation(SHAPE, Q), "Softmax", beta=1.0))


def softmax_without_beta() -> bytes:
    g = graph()
    return g.finish(
        g.operator("SOFTMAX", [g.source], g.activation(SHAPE, (1 / 256, -128)), "Softmax", beta=0.0)
    )


def concatenation_of_two_scales() -> bytes:
    g = graph()
    other = g.operator("RSQRT", [g.source], g.activation(SHAPE, (0.5, 0)))
    out = g.activation((1, 4, 5, 6), Q)
    return g.finish(g.operator("CONCATENATION", [g.source, other], out, "Concatenation", axis=3))


def concatenation_of_a_wrong_shape() -> bytes:
    g = graph()
    out = g.activation((1, 4, 5, 7), Q)
    return g.finish(g.operator("CONCATENATION", [g.source, g.source], out, "Concatenation", axis=3))


def mul_that_does_not_broadcast() -> bytes:
    g = graph()
    factor = g.constant(int8(1, 1, 1, 2), Q)
    return g.finish(g.operator("MUL", [g.source, factor], g.activation(SHAPE, Q), "Mul"))


def mul_that_overflows() -> bytes:
    g = graph()
    out = g.activation(SHAPE, (1e-9, 0))
    return g.finish(g.operator("MUL", [g.source, g.source], out, "Mul"))


def prelu_with_a_computed_alpha() -> bytes:
    g = graph()
    return g.finish(g.operator("PRELU", [g.source, g.source], g.activation(SHAPE, Q)))


def resize_with_both_flags() -> bytes:
    g = graph()
    size = g.constant(np.array([8, 10], np.int32))
    out = g.activation((1, 8, 10, 3), Q)
    options = {"alignCorners": True, "halfPixelCenters": True}
    return g.finish(g.operator("RESIZE_BILINEAR", [g.source, size], out, "ResizeBilinear", **options))


def resize_whose_rounded_positions_leave_the_image() -> bytes:
    g = GraphBuilder((1, 5, 5, 1), Q)
    size = g.constant(np.array([3000, 5], np.int32))
    out = g.activation((1, 3000, 5, 1), Q)
    return g.finish(g.operator("RESIZE_BILINEAR", [g.source, size], out, "ResizeBilinear"))


def transpose_conv_to_a_wrong_size() -> bytes:
    g = graph()
    inputs = [g.constant(np.array([1, 9, 9, 2], np.int32)), g.constant(int8(2, 3, 3, 3), (0.01, 0)), g.source]
    out = g.activation((1, 9, 9, 2), Q)
    options = {"padding": 0, "strideH": 2, "strideW": 2}
    return g.finish(g.operator("TRANSPOSE_CONV", inputs, out, "TransposeConv", **options))


REFUSED: dict[Callable[[], bytes], str] = {
    mean_in_pieces: "too many pieces",
    mean_outside: "axes must lie in",
    mean_of_a_wrong_shape: "shape of",
    softmax_of_another_scale: "scale 1/256",
    softmax_without_beta: "beta",
    concatenation_of_two_scales: "same scale",
    concatenation_of_a_wrong_shape: "shape of",
    mul_that_does_not_broadcast: "output shape|broadcast",
    mul_that_overflows: "scale is too small",
    prelu_with_a_computed_alpha: "alpha is not a constant",
    resize_with_both_flags: "at once",
    resize_whose_rounded_positions_leave_the_image: "leave the input",
    transpose_conv_to_a_wrong_size: "lead back",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__.replace("_", " "))
def test_an_operator_that_cannot_be_exact_is_refused_by_layer(make: Callable[[], bytes]) -> None:
    with pytest.raises(CodegenError, match=REFUSED[make]) as caught:
        generate(request_for(make()))
    assert caught.value.what.startswith("layer ")
    assert caught.value.remedy


def test_a_root_of_a_negative_number_ends_the_image_as_in_tflite_micro(
    tmp_path: Path, host_kernels: Path
) -> None:
    g = GraphBuilder((1, 1, 4, 1), (0.1, 0))
    model = g.finish(g.operator("RSQRT", [g.source], g.activation((1, 1, 4, 1), (0.05, -100))))
    (runner,) = build_batch(tmp_path, [generate(request_for(model))], host_kernels)
    positive = np.array([[[[1], [0], [50], [127]]]], np.int8)
    assert np.array_equal(runner.run(positive), tflm(model, positive))
    negative = np.array([[[[1], [-1], [50], [127]]]], np.int8)
    with pytest.raises(RuntimeError):
        tflm(model, negative)
    with pytest.raises(AssertionError, match="refused: -5"):
        runner.run(negative)
