"""A float32 .tflite (what onnx2tf writes, channels last) as a functional Keras model that can be trained.

onnx2tf's Keras and SavedModel outputs hold weights as constants of TensorFlow operations: they can be run,
not fine-tuned, and only by TensorFlow. The same graph read out of its .tflite becomes Keras layers of any
backend.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from semflash.errors import TrainingError
from semflash.importing.tflite.graph import TfliteGraph
from semflash.importing.tflite.max_pools import Padded, maximum, padded_nowhere
from semflash.importing.tflite.shapes import ComputedShapes
from semflash.importing.tflite.slices import enlargement, plain_slice, split_slices, strided_slice
from semflash.tasks.keras.layers import ConstantPad, Offset, Part, Power, Product, Scale

_FUSED = {1: layers.ReLU, 3: lambda: layers.ReLU(max_value=6.0), 4: lambda: layers.Activation("tanh")}
_SAME = 0
_SIMPLE = {
    "RELU": layers.ReLU,
    "RELU6": lambda: layers.ReLU(max_value=6.0),
    "RELU_0_TO_1": lambda: layers.ReLU(max_value=1.0),
    "LOGISTIC": lambda: layers.Activation("sigmoid"),
    "EXP": lambda: layers.Activation("exponential"),
    "SQUARE": lambda: Power(2),
    "TANH": lambda: layers.Activation("tanh"),
    "ELU": lambda: layers.Activation("elu"),
    "HARD_SWISH": lambda: layers.Activation("hard_silu"),
    "SOFTMAX": layers.Softmax,
}


def keras_model(data: bytes, name: str, input_name: str) -> keras.Model:
    """Build the model and put its weights in.

    Args:
        data: the .tflite file; batch of one, one input, one output.
        name: of the model; input_name: of its input.

    Raises:
        TrainingError: an operator has no Keras layer; the message names it.
    """
    return _Reader(data).model(name, input_name)


class _Reader(TfliteGraph):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.weights: list[tuple[Any, list[np.ndarray]]] = []
        self.nowhere: dict[int, Padded] = {}
        self.shapes = ComputedShapes(lambda index: tuple(self.tensor(index).shape[1:]), self.constant)

    def model(self, name: str, input_name: str) -> keras.Model:
        source, result = int(self.graph.inputs[0]), int(self.graph.outputs[0])
        start = keras.Input(self.shape(source), name=input_name)
        self.values[source] = start
        for operator in self.graph.operators:
            kind = self.names[operator.opcodeIndex]
            if self.shapes.follow(kind, operator, self.graph.tensors[operator.outputs[0]].type):
                continue
            made = self._layer(kind, operator)
            values = made if isinstance(made, list) else [self._fused(made, operator)]
            for output, value in zip(operator.outputs, values, strict=True):
                if not self.fits(tuple(value.shape[1:]), output):
                    raise TrainingError(
                        f"{kind} as a Keras layer gives {tuple(value.shape[1:])}, not {self.shape(output)}",
                        value=self.label(output),
                    )
                self.values[int(output)] = value
        model = keras.Model(start, self.values[result], name=name)
        for layer, arrays in self.weights:
            layer.set_weights(arrays)
        return model

    def _layer(self, kind: str, operator: Any) -> Any:
        if kind in _SIMPLE:
            return _SIMPLE[kind]()(self.tensor(operator.inputs[0]))
        builder = getattr(self, f"_{kind.lower()}", None)
        if builder is None:
            raise TrainingError(
                f"the operator {kind} of the converted network has no Keras layer",
                value=self.label(operator.outputs[0]),
                remedy="split or export the network without it (docs/networks.md lists what converts)",
            )
        try:
            return builder(operator)
        except ValueError as error:  # of Keras, in many words
            raise TrainingError(
                f"{kind} of the converted network does not fit into a Keras layer",
                value=f"{self.label(operator.outputs[0])}: {str(error)[:200]}",
                remedy="split or export the network without it (docs/networks.md lists what converts)",
            ) from error

    def _fused(self, value: Any, operator: Any) -> Any:
        which = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        if which == 0:
            return value
        if which not in _FUSED:
            raise TrainingError("an activation has no Keras layer", value=f"number {which}")
        return _FUSED[which]()(value)

    def _conv_2d(self, operator: Any) -> Any:
        x, kernel, bias, options = self._weighted(operator)
        groups = x.shape[-1] // kernel.shape[3]
        return self._with(
            layers.Conv2D(
                kernel.shape[0], kernel.shape[1:3], strides=(options.strideH, options.strideW), groups=groups,
                padding=_padding(options), dilation_rate=(options.dilationHFactor, options.dilationWFactor),
            ), x, kernel.transpose(1, 2, 3, 0), bias,
        )  # fmt: skip

    def _depthwise_conv_2d(self, operator: Any) -> Any:
        x, kernel, bias, options = self._weighted(operator)
        rows, columns, channels = kernel.shape[1], kernel.shape[2], x.shape[-1]
        multiplier = kernel.shape[3] // channels
        return self._with(
            layers.DepthwiseConv2D(
                (rows, columns), strides=(options.strideH, options.strideW), padding=_padding(options),
                depth_multiplier=multiplier, dilation_rate=(options.dilationHFactor, options.dilationWFactor),
            ), x, kernel.reshape(rows, columns, channels, multiplier), bias,
        )  # fmt: skip

    def _transpose_conv(self, operator: Any) -> Any:
        options, kernel = operator.builtinOptions, self.constant(operator.inputs[1])
        x = self.tensor(operator.inputs[2])
        bias = self._optional(operator, 3, kernel.shape[0])
        layer = layers.Conv2DTranspose(
            kernel.shape[0], kernel.shape[1:3], strides=(options.strideH, options.strideW),
            padding=_padding(options),
        )  # fmt: skip
        return self._with(layer, x, kernel.transpose(1, 2, 0, 3), bias)

    def _fully_connected(self, operator: Any) -> Any:
        x, kernel, bias, options = self._weighted(operator)
        if len(x.shape) > 2 and not options.keepNumDims:
            x = layers.Flatten()(x)
        return self._with(layers.Dense(kernel.shape[0]), x, kernel.T, bias)

    def _batch_matmul(self, operator: Any) -> Any:
        pair, options = [self.tensor(index) for index in operator.inputs], operator.builtinOptions
        return Product((options.adjX, options.adjY))(pair)

    def _max_pool_2d(self, operator: Any) -> Any:
        o, padded = operator.builtinOptions, self.nowhere.get(int(operator.inputs[0]))
        if padded is not None and o.padding != _SAME:
            value = maximum(padded, (o.filterHeight, o.filterWidth), (o.strideH, o.strideW))
            if value is not None:
                return value
        return self._pool(layers.MaxPooling2D, operator)

    def _average_pool_2d(self, operator: Any) -> Any:
        return self._pool(layers.AveragePooling2D, operator)

    def _mean(self, operator: Any) -> Any:
        return self._global(layers.GlobalAveragePooling2D, operator)

    def _reduce_max(self, operator: Any) -> Any:
        return self._global(layers.GlobalMaxPooling2D, operator)

    def _add(self, operator: Any) -> Any:
        return self._arithmetic(operator, layers.Add, Offset, lambda c: c)

    def _add_n(self, operator: Any) -> Any:
        return layers.Add()([self.tensor(index) for index in operator.inputs])

    def _mul(self, operator: Any) -> Any:
        return self._arithmetic(operator, layers.Multiply, Scale, lambda c: c)

    def _sub(self, operator: Any) -> Any:
        if self.is_constant(operator.inputs[0]):
            minus = self._with(Scale(()), self.tensor(operator.inputs[1]), np.full((), -1, np.float32))
            constant = self._squeezed(operator.inputs[0], len(minus.shape))
            return self._with(Offset(constant.shape), minus, constant)
        return self._arithmetic(operator, layers.Subtract, Offset, lambda c: -c)

    def _div(self, operator: Any) -> Any:
        if not self.is_constant(operator.inputs[1]):
            raise TrainingError("DIV by a tensor has no Keras layer", value=self.label(operator.outputs[0]))
        return self._arithmetic(operator, layers.Multiply, Scale, lambda c: 1.0 / c)

    def _pad(self, operator: Any) -> Any:
        padding = self.constant(operator.inputs[1])
        value = float(self.constant(operator.inputs[2])) if len(operator.inputs) > 2 else 0.0
        if padding[0].any():
            raise TrainingError("a PAD pads the batch", value=self.label(operator.outputs[0]))
        nowhere = padded_nowhere(self.tensor(operator.inputs[0]), padding, value)
        if nowhere is not None:
            self.nowhere[int(operator.outputs[0])] = nowhere
        return ConstantPad(padding[1:].tolist(), value)(self.tensor(operator.inputs[0]))

    _padv2 = _pad

    def _concatenation(self, operator: Any) -> Any:
        values = [self.tensor(index) for index in operator.inputs]
        return layers.Concatenate(axis=operator.builtinOptions.axis)(values)

    def _resize_nearest_neighbor(self, operator: Any) -> Any:
        x, size = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1]).tolist()
        label = self.label(operator.outputs[0])
        factors = enlargement(x.shape[1:3], size, operator.builtinOptions.alignCorners, label)
        return layers.UpSampling2D(factors, interpolation="nearest")(x)

    def _strided_slice(self, operator: Any) -> Any:
        x, label = self.tensor(operator.inputs[0]), self.label(operator.outputs[0])
        begin, end, strides = (self.constant(index) for index in operator.inputs[1:4])
        slices = strided_slice(operator.builtinOptions, begin, end, strides, label)
        return self._shaped(Part(slices)(x), self.shape(operator.outputs[0]))

    def _slice(self, operator: Any) -> Any:
        begin, size = (self.constant(index) for index in operator.inputs[1:3])
        slices = plain_slice(begin, size, self.label(operator.outputs[0]))
        return Part(slices)(self.tensor(operator.inputs[0]))

    def _split(self, operator: Any) -> list[Any]:
        count, x = operator.builtinOptions.numSplits, self.tensor(operator.inputs[1])
        axis = int(self.constant(operator.inputs[0]))
        return self._parts(operator, x, axis, [int(x.shape[axis]) // count] * count)

    def _split_v(self, operator: Any) -> list[Any]:
        x, axis = self.tensor(operator.inputs[0]), int(self.constant(operator.inputs[2]))
        return self._parts(operator, x, axis, self.constant(operator.inputs[1]).tolist())

    def _parts(self, operator: Any, x: Any, axis: int, sizes: list[int]) -> list[Any]:
        slices = split_slices(axis, sizes, len(x.shape), self.label(operator.outputs[0]))
        return [Part(one)(x) for one in slices]

    def _pow(self, operator: Any) -> Any:
        if self.is_constant(operator.inputs[0]) or not self.is_constant(operator.inputs[1]):
            raise TrainingError(
                "only a constant power has a Keras layer", value=self.label(operator.outputs[0])
            )
        exponents = np.unique(self.constant(operator.inputs[1]))
        if len(exponents) != 1:
            raise TrainingError("a power for each entry", value=self.label(operator.outputs[0]))
        return Power(float(exponents[0]))(self.tensor(operator.inputs[0]))

    def _tile(self, operator: Any) -> Any:
        x, repeats = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1]).tolist()
        if repeats[0] != 1:
            raise TrainingError("a TILE repeats the batch", value=self.label(operator.outputs[0]))
        for axis, times in enumerate(repeats):
            x = layers.Concatenate(axis=axis)([x] * times) if times > 1 else x
        return x

    def _transpose(self, operator: Any) -> Any:
        order = self.constant(operator.inputs[1]).tolist()
        if order[0] != 0:
            raise TrainingError("a TRANSPOSE moves the batch", value=self.label(operator.outputs[0]))
        return layers.Permute(order[1:])(self.tensor(operator.inputs[0]))

    def _reshape(self, operator: Any) -> Any:
        target = self.shapes.target(operator.inputs[-1]) or self.shape(operator.outputs[0])
        return self._shaped(self.tensor(operator.inputs[0]), target)

    def _shaped(self, x: Any, target: tuple[int, ...]) -> Any:
        return x if tuple(x.shape[1:]) == target else layers.Reshape(target)(x)

    _squeeze = _expand_dims = _reshape

    def _leaky_relu(self, operator: Any) -> Any:
        slope = float(operator.builtinOptions.alpha)
        return layers.LeakyReLU(negative_slope=slope)(self.tensor(operator.inputs[0]))

    def _prelu(self, operator: Any) -> Any:
        x, alpha = self.tensor(operator.inputs[0]), self.constant(operator.inputs[1])
        shared = list(range(1, len(x.shape) - 1))
        alpha = (
            np.broadcast_to(alpha.reshape(-1), (x.shape[-1],)) if alpha.size in (1, x.shape[-1]) else alpha
        )
        return self._with(layers.PReLU(shared_axes=shared), x, alpha.reshape(*[1] * len(shared), x.shape[-1]))

    def _pool(self, kind: Any, operator: Any) -> Any:
        o = operator.builtinOptions
        pool = kind((o.filterHeight, o.filterWidth), (o.strideH, o.strideW), padding=_padding(o))
        return pool(self.tensor(operator.inputs[0]))

    def _global(self, kind: Any, operator: Any) -> Any:
        x = self.tensor(operator.inputs[0])
        axes = {int(a) % len(x.shape) for a in np.ravel(self.constant(operator.inputs[1]))}
        if len(x.shape) != 4 or axes != {1, 2}:
            raise TrainingError(
                "only the mean or maximum of whole maps has a Keras layer",
                value=self.label(operator.outputs[0]),
            )
        return kind(keepdims=bool(operator.builtinOptions.keepDims))(x)

    def _arithmetic(self, operator: Any, merge: Any, constant_layer: Any, change: Any) -> Any:
        left, right = operator.inputs[:2]
        if not self.is_constant(left) and not self.is_constant(right):
            return merge()([self.tensor(left), self.tensor(right)])
        variable, constant = (right, left) if self.is_constant(left) else (left, right)
        x = self.tensor(variable)
        value = change(self._squeezed(constant, len(x.shape)))
        return self._with(constant_layer(value.shape), x, value)

    def _squeezed(self, index: int, rank: int) -> np.ndarray:
        """A constant without the batch axis."""
        value = self.constant(index)
        return value[0] if value.ndim == rank else value

    def _weighted(self, operator: Any) -> tuple[Any, np.ndarray, np.ndarray, Any]:
        if not self.is_constant(operator.inputs[1]):
            raise TrainingError(
                "weights that are computed have no layer", value=self.label(operator.outputs[0])
            )
        kernel = self.constant(operator.inputs[1])
        channels = kernel.shape[3] if kernel.ndim == 4 and kernel.shape[0] == 1 else kernel.shape[0]
        output = self.shape(operator.outputs[0])[-1]
        bias = self._optional(operator, 2, output if output else channels)
        return self.tensor(operator.inputs[0]), kernel, bias, operator.builtinOptions

    def _optional(self, operator: Any, place: int, channels: int) -> np.ndarray:
        given = len(operator.inputs) > place and operator.inputs[place] >= 0
        return self.constant(operator.inputs[place]) if given else np.zeros(channels, np.float32)

    def _with(self, layer: Any, x: Any, *arrays: np.ndarray) -> Any:
        """Call a layer and remember what its weights will be."""
        value = layer(x)
        self.weights.append((layer, [np.asarray(array, np.float32) for array in arrays]))
        return value


def _padding(options: Any) -> str:
    return "same" if options.padding == _SAME else "valid"
