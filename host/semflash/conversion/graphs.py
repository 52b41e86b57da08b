"""Keras models to .tflite: the int8 device graph, asserted free of float, and the float32 edge graphs.

Needs the extra ``train`` (TensorFlow); imported only by the export.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semflash.errors import ExportError
from semflash.runtime.native_messages import hidden_native_messages
from semflash_codegen.ir import Model, Tensor
from semflash_codegen.macs import macs
from semflash_codegen.schema import TensorType
from semflash_codegen.tflite_reader import COMPUTER, read_model

INPUT_ZERO_POINT = -128


@dataclass(frozen=True)
class Int8Output:
    """An output of an int8 graph: (h, w, C), real value = scale (q - zero_point)."""

    shape: tuple[int, int, int]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Int8Graph:
    """An int8 .tflite graph and what is in it.

    Attributes:
        data: the file.
        operators: operator names in order, such as CONV_2D.
        macs: multiply-accumulates for one image (:mod:`semflash_codegen.macs`).
        outputs: in the order of the model that was converted.
    """

    data: bytes
    operators: list[str]
    macs: int
    outputs: tuple[Int8Output, ...]

    @property
    def output(self) -> Int8Output:
        """The only output. ExportError: there are several."""
        if len(self.outputs) != 1:
            raise ExportError("the device graph needs one output", value=len(self.outputs))
        return self.outputs[0]

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Of the only output."""
        return self.output.shape

    @property
    def output_scale(self) -> float:
        """Of the only output."""
        return self.output.scale

    @property
    def output_zero_point(self) -> int:
        """Of the only output."""
        return self.output.zero_point


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's progress lines from the user's terminal; exceptions pass."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), hidden_native_messages():
        warnings.simplefilter("ignore")
        yield


def _needs_tensorflow() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ExportError(
            "only TensorFlow's models convert",
            value=f"KERAS_BACKEND={backend}",
            remedy="KERAS_BACKEND=tensorflow",
        )


def calibration_set(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images in [0, 1] whose range is exactly 0..1, so that the input scale becomes exactly 1/255.

    If no image holds a 0 (or a 255), one pixel of the first (last) image is set to it: the least change that
    makes the converter choose scale 1/255 and zero point -128.
    """
    values = np.array(images, np.float32) / np.float32(255)
    if values.min() > 0:
        values[0].flat[0] = 0.0
    if values.max() < 1:
        values[-1].flat[-1] = 1.0
    return values


def convert_int8(model: keras.Model, images: NDArray[np.uint8]) -> Int8Graph:
    """Full-integer post-training quantisation for a batch of one.

    Args:
        model: image in [0, 1] (B, H, W, C) to (B, h, w, C'), or to several such outputs.
        images: uint8 (N, H, W, C), the calibration set (300 are enough).

    Raises:
        ExportError: the converter fails, or the result is not pure int8 with input scale 1/255.
    """
    _needs_tensorflow()
    calibration = calibration_set(images)
    source = keras.Input(batch_shape=(1, *images.shape[1:]))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(source, model(source)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        with _quiet():
            data = converter.convert()
    except (ValueError, RuntimeError) as error:
        raise ExportError(
            f"the device graph does not convert to int8: {str(error)[:400]}",
            remedy="keep to Conv2D, DepthwiseConv2D, pooling, ReLU and Dense in head and encoder",
        ) from error
    return inspect_int8(data)


def convert_float(model: keras.Model, name: str) -> bytes:
    """float32 .tflite with a flexible batch. ExportError: the converter fails."""
    try:
        with _quiet():
            return tf.lite.TFLiteConverter.from_keras_model(model).convert()
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"the {name} does not convert to LiteRT: {str(error)[:400]}") from error


def with_gdn(
    device_graph: keras.Model,
    beta: NDArray[np.floating],
    gamma: NDArray[np.floating],
    alpha: NDArray[np.floating],
) -> keras.Model:
    """device_graph followed by GDN and PReLU in forms the converter quantises (``--whole-graph``).

        x -> MUL x -> CONV 1x1 (gamma, beta) -> RSQRT -> MUL x -> PRELU

    x x is written as a product because ``tf.square`` stays float; Keras' own PReLU becomes one PRELU.
    """
    channels = int(np.size(beta))
    source = keras.Input(device_graph.input_shape[1:])
    x = device_graph(source)
    weigh = keras.layers.Conv2D(channels, 1, name="gdn_weigh")
    prelu = keras.layers.PReLU(shared_axes=[1, 2], name="prelu")
    y = keras.layers.Multiply()([x, keras.ops.rsqrt(weigh(keras.layers.Multiply()([x, x])))])
    model = keras.Model(source, prelu(y))
    weigh.set_weights([np.asarray(gamma, np.float32)[None, None], np.asarray(beta, np.float32)])
    prelu.set_weights([np.broadcast_to(np.asarray(alpha, np.float32).ravel(), (channels,))[None, None]])
    return model


def inspect_int8(data: bytes) -> Int8Graph:
    """Read the graph back: operators, MACs, quantisation.

    Raises:
        ExportError: a tensor that is neither int8 nor an int32 bias or shape (a float island), QUANTIZE or
            DEQUANTIZE inside, several inputs, input scale other than 1/255.
        ModelError: several subgraphs, or larger than :data:`~semflash_codegen.tflite_reader.COMPUTER`.
    """
    model = read_model(data, COMPUTER)
    if len(model.inputs) != 1:
        raise ExportError("the device graph needs one input", value=len(model.inputs))
    names = [operator.name for operator in model.operators]
    for tensor in model.tensors:
        if tensor.dtype not in (TensorType.INT8, TensorType.INT32):
            raise ExportError(
                "the device graph is not pure int8",
                value=f"tensor {tensor.name} has type {tensor.dtype.name.lower()}",
                remedy="write PReLU as keras.layers.PReLU and squares as x * x",
            )
    islands = {"QUANTIZE", "DEQUANTIZE"}.intersection(names)
    if islands:
        raise ExportError("the device graph requantises between operators", value=", ".join(sorted(islands)))
    scale, zero_point = _quantisation(model.tensors[model.inputs[0]])
    if np.float32(scale) != np.float32(1 / 255) or zero_point != INPUT_ZERO_POINT:
        raise ExportError("input quantisation is not scale 1/255, zero point -128", value=(scale, zero_point))
    total = sum(macs(model, operator) for operator in model.operators)
    outputs = tuple(_output(model.tensors[index]) for index in output_indices(model))
    return Int8Graph(data, names, total, outputs)


def output_indices(model: Model) -> tuple[int, ...]:
    """Tensors of a converted model's outputs, in the order that the Keras model has them."""
    if len(model.outputs) == 1:
        return model.outputs
    named = dict(model.named_outputs)
    try:
        return tuple(named[f"output_{place}"] for place in range(len(model.outputs)))
    except KeyError as error:
        raise ExportError("the converter named the outputs in another way", value=sorted(named)) from error


def _output(tensor: Tensor) -> Int8Output:
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise ExportError("the device graph must end in (1, h, w, channels)", value=tensor.shape)
    height, width, channels = tensor.shape[1:]
    return Int8Output((height, width, channels), *_quantisation(tensor))


def _quantisation(tensor: Tensor) -> tuple[float, int]:
    found = tensor.quantisation
    if tensor.dtype is not TensorType.INT8 or found is None or len(found.scales) != 1:
        raise ExportError("input and output of the device graph must be int8 with one scale")
    return found.scales[0], found.zero_points[0]
