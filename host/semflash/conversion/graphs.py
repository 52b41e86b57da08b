"""Keras models to .tflite: the int8 device graph, asserted free of float, and the float32 edge graphs.

Needs the extra ``train`` (TensorFlow); imported only by the export.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from semflash.errors import ExportError
from semflash.runtime.native_messages import hidden_native_messages

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
        macs: multiply-accumulates for one image.
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
            DEQUANTIZE inside, several subgraphs or inputs, input scale other than 1/255.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    if len(model.subgraphs) != 1 or len(model.subgraphs[0].inputs) != 1:
        raise ExportError("the device graph needs one subgraph and one input")
    graph = model.subgraphs[0]
    names = [_operator_name(model.operatorCodes[o.opcodeIndex]) for o in graph.operators]
    for tensor in graph.tensors:
        if tensor.type not in (schema.TensorType.INT8, schema.TensorType.INT32):
            raise ExportError(
                "the device graph is not pure int8",
                value=f"tensor {tensor.name.decode('utf-8', 'replace')} has type {tensor.type}",
                remedy="write PReLU as keras.layers.PReLU and squares as x * x",
            )
    islands = {"QUANTIZE", "DEQUANTIZE"}.intersection(names)
    if islands:
        raise ExportError("the device graph requantises between operators", value=", ".join(sorted(islands)))
    scale, zero_point = _quantisation(graph.tensors[graph.inputs[0]])
    if np.float32(scale) != np.float32(1 / 255) or zero_point != INPUT_ZERO_POINT:
        raise ExportError("input quantisation is not scale 1/255, zero point -128", value=(scale, zero_point))
    macs = sum(_macs(graph, o, n) for o, n in zip(graph.operators, names, strict=True))
    outputs = tuple(_output(graph.tensors[index]) for index in output_indices(model))
    return Int8Graph(data, names, macs, outputs)


def output_indices(model: Any) -> list[int]:
    """Tensors of a converted model's outputs, in the order that the Keras model has them."""
    found = [int(index) for index in model.subgraphs[0].outputs]
    if len(found) == 1:
        return found
    named = {each.name.decode(): int(each.tensorIndex) for each in model.signatureDefs[0].outputs}
    try:
        return [named[f"output_{place}"] for place in range(len(found))]
    except KeyError as error:
        raise ExportError("the converter named the outputs in another way", value=sorted(named)) from error


def _output(tensor: Any) -> Int8Output:
    shape = tuple(int(v) for v in tensor.shape)
    if len(shape) != 4 or shape[0] != 1:
        raise ExportError("the device graph must end in (1, h, w, channels)", value=shape)
    return Int8Output((shape[1], shape[2], shape[3]), *_quantisation(tensor))


def content_sha256(data: bytes) -> str:
    """SHA-256 (hexadecimal) of what an int8 graph computes: operators, their options, shapes, quantisation
    and weights, without the tensors' names, which count up from one conversion to the next."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    digest = hashlib.sha256()
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = _operator_name(model.operatorCodes[operator.opcodeIndex])
            options = sorted((key, str(value)) for key, value in _options(operator))
            wires = [[int(i) for i in part] for part in (operator.inputs, operator.outputs)]
            digest.update(repr((name, options, wires)).encode())
        for tensor in graph.tensors:
            scales = tensor.quantization
            numbers = [] if scales is None else [scales.scale, scales.zeroPoint, scales.quantizedDimension]
            shape = [int(side) for side in tensor.shape]
            digest.update(repr((shape, tensor.type, [np.asarray(n).tolist() for n in numbers])).encode())
            weights = model.buffers[tensor.buffer].data
            digest.update(b"" if weights is None else np.asarray(weights, np.uint8).tobytes())
    return digest.hexdigest()


def _options(operator: Any) -> list[tuple[str, Any]]:
    return [] if operator.builtinOptions is None else list(vars(operator.builtinOptions).items())


_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def _operator_name(code: Any) -> str:
    """Newer files keep the number in builtinCode, older ones in an 8-bit field."""
    return _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")


def _quantisation(tensor: Any) -> tuple[float, int]:
    parameters = tensor.quantization
    if tensor.type != schema.TensorType.INT8 or parameters is None or len(parameters.scale) != 1:
        raise ExportError("input and output of the device graph must be int8 with one scale")
    return float(parameters.scale[0]), int(parameters.zeroPoint[0])


def _macs(graph: Any, operator: Any, name: str) -> int:
    """Multiply-accumulates of one operator; 0 for those without weights."""
    output = math.prod(int(v) for v in graph.tensors[operator.outputs[0]].shape)
    if name == "CONV_2D":
        _, height, width, depth = graph.tensors[operator.inputs[1]].shape
        return output * int(height) * int(width) * int(depth)
    if name == "DEPTHWISE_CONV_2D":
        _, height, width, _ = graph.tensors[operator.inputs[1]].shape
        return output * int(height) * int(width)
    if name == "FULLY_CONNECTED":
        return output * int(graph.tensors[operator.inputs[1]].shape[1])
    return 0
